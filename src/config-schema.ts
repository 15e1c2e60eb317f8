import * as z from 'zod';
import type { Problem } from './errors.ts';
import type { Provider } from './provider.ts';
import { registriesSchema } from './registry.ts';
import { parseSelector } from './selector.ts';
import type { Selector } from './selector.ts';

/** The Secret's name where the configuration gives none. */
export const DEFAULT_SECRET_NAME = 'registry-credentials';

/** How long one exchange may take, in seconds, where the configuration does not say. */
export const DEFAULT_TIMEOUT_SECONDS = 30;

const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const dnsSubdomain =
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

const objectName = z.string().regex(dnsSubdomain, 'is not a name that Kubernetes accepts');
const namespacePattern = z
  .string()
  .refine((pattern) => dnsLabel.test(pattern.replace(/[*?]/g, 'x').slice(0, 63)), {
    error: 'is not a namespace or a pattern with * and ?',
  });

const selectorSchema = z.string().transform((text, context): Selector => {
  try {
    return parseSelector(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
});

const namespacesSchema = z.union(
  [
    z.array(namespacePattern).min(1),
    z.strictObject({
      include: z.array(namespacePattern).min(1).default(['*']),
      exclude: z.array(namespacePattern).default([]),
      selector: selectorSchema
        .optional()
        .describe('A label selector, as for kubectl -l, that namespaces must match as well'),
    }),
  ],
  { error: unionError('expected a list of namespaces, or {include, exclude, selector}') },
);

const serviceAccountsSchema = z
  .array(objectName)
  .describe('ServiceAccounts of each namespace whose imagePullSecrets get this Secret');

const credentialSchema = z.looseObject({
  name: z.string().min(1).describe('What secrets refer to, and what the plan and report call it'),
  provider: z
    .string()
    .optional()
    .describe('Who issues the login; inferred from the registries where they tell'),
  timeout: z
    .number()
    .positive()
    .max(600)
    .default(DEFAULT_TIMEOUT_SECONDS)
    .describe('How long one exchange may take, in seconds'),
});

const secretSchema = z.strictObject({
  name: objectName,
  credentials: z
    .array(z.string().min(1))
    .min(1)
    .default(['*'])
    .describe('Names of credentials, or patterns with *'),
  namespaces: namespacesSchema,
  serviceAccounts: serviceAccountsSchema.default([]),
  onConflict: z
    .enum(['fail', 'force'])
    .default('fail')
    .describe(
      'Whether a Secret of this name that belongs to somebody else is left alone or taken over',
    ),
});

/** The whole file, before the names in it are resolved. */
export const fileSchema = z
  .strictObject({
    $schema: z.string().optional(),
    instance: z
      .string()
      .regex(/^[\w./-]{1,200}$/, 'may hold letters, digits, ".", "_", "/" and "-"')
      .optional()
      .describe('Who owns the Secrets; by default the namespace and name of the CronJob'),
    registries: registriesSchema
      .optional()
      .describe('Short form: registries whose host names tell their provider'),
    namespaces: namespacesSchema.optional().describe('Short form: where the one Secret belongs'),
    secretName: objectName.optional().describe('Short form: the name of the one Secret'),
    serviceAccounts: serviceAccountsSchema.optional(),
    credentials: z.array(credentialSchema).min(1).optional(),
    secrets: z.array(secretSchema).min(1).optional(),
  })
  .meta({
    title: 'registry-token-refresher',
    description: 'What to log in to, and where to keep the logins',
  });

/** The short form, the long form, or both. */
export type ConfigFile = z.infer<typeof fileSchema>;
/** One entry under `credentials`; its further keys are its provider's options. */
export type CredentialEntry = z.infer<typeof credentialSchema>;
/** One entry under `secrets`. */
export type SecretEntry = z.infer<typeof secretSchema>;

/** The JSON schema of the configuration file; the options of each provider stand beside its name. */
export function configJsonSchema(providers: readonly Provider[]): object {
  const schema = z.toJSONSchema(fileSchema, { io: 'input', unrepresentable: 'any' });
  const entry = z.toJSONSchema(credentialSchema, { io: 'input' });
  const perProvider = providers.flatMap((provider) => {
    const options = jsonSchemaOf(provider);
    return options === undefined ? [] : [mergeObjectSchemas(entry, options, provider.name)];
  });
  const properties = schema.properties as Record<string, { items?: unknown }>;
  if (properties.credentials) properties.credentials.items = { anyOf: perProvider };
  return schema;
}

/** What zod and every other Standard Schema say of one mistake. */
export interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A schema's issue as a problem, its path written as `a.b[1]` behind a prefix. */
export function problemOf(issue: Issue, prefix = ''): Problem {
  const path = (issue.path ?? []).reduce<string>((written, segment) => {
    const key = typeof segment === 'object' ? segment.key : segment;
    if (typeof key === 'number') return `${written}[${key}]`;
    return written ? `${written}.${String(key)}` : String(key);
  }, prefix);
  return { path, message: issue.message };
}

// A union's own error hides what is wrong inside the alternative that was meant.
function unionError(
  fallback: string,
): (issue: { input?: unknown; errors?: readonly (readonly Issue[])[] }) => string {
  return ({ input, errors = [] }) => {
    const meant = errors[Array.isArray(input) ? 0 : 1];
    const inner =
      typeof input === 'object' && input !== null ? meant?.map((issue) => problemOf(issue)) : [];
    return inner?.length
      ? inner.map(({ path, message }) => `${path}: ${message}`).join('; ')
      : fallback;
  };
}

type JsonSchema = Readonly<Record<string, unknown>>;

function jsonSchemaOf(provider: Provider): JsonSchema | undefined {
  return provider.options instanceof z.ZodType
    ? z.toJSONSchema(provider.options, { io: 'input' })
    : undefined;
}

function mergeObjectSchemas(entry: JsonSchema, options: JsonSchema, provider: string): JsonSchema {
  const { $schema: _draft, ...rest } = options;
  return {
    ...rest,
    title: provider,
    properties: {
      ...(entry.properties as object),
      provider: { const: provider },
      ...(options.properties as object),
    },
    required: [
      ...(entry.required as string[]),
      ...((options.required as string[] | undefined) ?? []),
    ],
  };
}
