import {
  DEFAULT_SECRET_NAME,
  DEFAULT_TIMEOUT_SECONDS,
  fileSchema,
  problemOf,
} from './config-schema.ts';
import type { ConfigFile, CredentialEntry, SecretEntry } from './config-schema.ts';
import { ConfigError } from './errors.ts';
import type { Problem } from './errors.ts';
import { isLiteral, matchesGlob } from './glob.ts';
import type { CredentialSource, Provider } from './provider.ts';
import { hostOf, registriesSchema } from './registry.ts';
import type { Selector } from './selector.ts';

/** A configured login: one entry under `credentials`, its options checked. */
export interface ConfiguredCredential {
  readonly name: string;
  readonly provider: string;
  readonly registries: readonly string[];
  readonly sources: readonly CredentialSource[];
  /** How long one exchange may take, in seconds. */
  readonly timeoutSeconds: number;
  /** What was written for it, from which a Secret's revision is made; holds references, no secret. */
  readonly written: unknown;
}

/** Which namespaces a Secret belongs in. */
export interface NamespaceSelection {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly selector: Selector | undefined;
}

/** A configured Secret: one content for every namespace that it selects. */
export interface ConfiguredSecret {
  readonly name: string;
  readonly credentials: readonly ConfiguredCredential[];
  readonly namespaces: NamespaceSelection;
  readonly serviceAccounts: readonly string[];
  readonly onConflict: 'fail' | 'force';
}

/** A configuration in which everything that can be checked without a network has been checked. */
export interface Config {
  /** Who owns the Secrets that this configuration writes; `undefined` where it is not named. */
  readonly instance: string | undefined;
  readonly credentials: readonly ConfiguredCredential[];
  readonly secrets: readonly ConfiguredSecret[];
}

/** Left out unless they are named without a wildcard: a Pod of the cluster itself pulls no private image. */
export const SYSTEM_NAMESPACES: readonly string[] = [
  'kube-system',
  'kube-public',
  'kube-node-lease',
];

/**
 * Checks a configuration and everything it names, without any I/O.
 * @param input what a file or the environment says
 * @param providers the providers that its credentials may name
 * @throws ConfigError with every problem found, each with its path
 */
export function parseConfig(input: unknown, providers: readonly Provider[]): Config {
  const parsed = fileSchema.safeParse(input ?? {});
  const problems = parsed.success ? [] : parsed.error.issues.map((issue) => problemOf(issue));
  const file = parsed.success ? parsed.data : readableParts(input);
  problems.push(...shapeProblems(input ?? {}));
  const entries = credentialEntries(file, providers, problems);
  const credentials = entries.flatMap(({ path, entry }) =>
    configureCredential(path, entry, providers, problems),
  );
  const secrets = secretEntries(file).map((secret, index) =>
    configureSecret(`secrets[${index}]`, secret, credentials, problems),
  );
  problems.push(...duplicateNames(entries), ...overlappingSecrets(secrets));
  if (problems.length > 0) throw new ConfigError(problems);
  return { instance: file.instance, credentials, secrets };
}

/** Whether a namespace of this name may get a Secret, its labels aside. */
export function selectsName({ include, exclude }: NamespaceSelection, namespace: string): boolean {
  if (exclude.some((pattern) => matchesGlob(pattern, namespace))) return false;
  if (include.includes(namespace)) return true;
  return (
    !SYSTEM_NAMESPACES.includes(namespace) &&
    include.some((pattern) => matchesGlob(pattern, namespace))
  );
}

// One mistake must not hide the others, so what can be read by itself is checked all the same.
function readableParts(input: unknown): ConfigFile {
  const written = (typeof input === 'object' ? input : undefined) ?? {};
  const parts = Object.entries(fileSchema.shape).flatMap(([key, schema]) => {
    const part = schema.safeParse((written as Record<string, unknown>)[key]);
    return part.success ? [[key, part.data] as const] : [];
  });
  return Object.fromEntries(parts);
}

function shapeProblems(written: object): Problem[] {
  const problems: Problem[] = [];
  const has = (key: keyof ConfigFile): boolean =>
    (written as Record<string, unknown>)[key] !== undefined;
  if (!has('registries') && !has('credentials')) {
    problems.push({
      path: 'registries',
      message: 'no registry is configured; name one here, or an entry under credentials',
    });
  }
  if (!has('secrets') && !has('namespaces')) {
    problems.push({
      path: 'namespaces',
      message: 'is required: name namespaces, or ["*"] for all',
    });
  }
  for (const key of ['namespaces', 'secretName', 'serviceAccounts'] as const) {
    if (has('secrets') && has(key)) {
      problems.push({ path: key, message: 'belongs to the short form; write it under secrets' });
    }
  }
  return problems;
}

interface LocatedEntry {
  readonly path: string;
  readonly entry: CredentialEntry;
}

function credentialEntries(
  file: ConfigFile,
  providers: readonly Provider[],
  problems: Problem[],
): readonly LocatedEntry[] {
  const written = (file.credentials ?? []).map((entry, index) => ({
    path: `credentials[${index}]`,
    entry,
  }));
  return [...shortEntries(file.registries ?? [], providers, problems), ...written];
}

// Registries of one provider become one entry, so that it can share one call where one is enough.
function shortEntries(
  registries: readonly string[],
  providers: readonly Provider[],
  problems: Problem[],
): readonly LocatedEntry[] {
  const byProvider = new Map<string, { path: string; registries: string[] }>();
  for (const [index, registry] of registries.entries()) {
    const path = `registries[${index}]`;
    const provider = providers.find((candidate) => candidate.matches(hostOf(registry)));
    if (provider === undefined) {
      problems.push({ path, message: unknownHost(registry) });
      continue;
    }
    const group = byProvider.get(provider.name) ?? { path, registries: [] };
    group.registries.push(registry);
    byProvider.set(provider.name, group);
  }
  return [...byProvider].map(([provider, group]) => ({
    path: group.path,
    entry: {
      name: group.registries.length === 1 ? (group.registries[0] ?? provider) : provider,
      provider,
      timeout: DEFAULT_TIMEOUT_SECONDS,
      registries: group.registries,
    },
  }));
}

function configureCredential(
  path: string,
  entry: CredentialEntry,
  providers: readonly Provider[],
  problems: Problem[],
): readonly ConfiguredCredential[] {
  const { name, provider: named, timeout, ...options } = entry;
  const provider = findProvider(path, named, options.registries, providers, problems);
  if (provider === undefined) return [];
  const checked = provider.options['~standard'].validate(options);
  if (checked instanceof Promise) {
    problems.push({
      path,
      message: `the options of provider ${provider.name} cannot be checked at once`,
    });
    return [];
  }
  if (checked.issues) {
    problems.push(...checked.issues.map((issue) => problemOf(issue, path)));
    return [];
  }
  const sources = provider.configure(checked.value);
  return [
    {
      name,
      provider: provider.name,
      registries: sources.flatMap((source) => source.registries),
      sources,
      timeoutSeconds: timeout,
      written: { provider: provider.name, ...options },
    },
  ];
}

function findProvider(
  path: string,
  named: string | undefined,
  registries: unknown,
  providers: readonly Provider[],
  problems: Problem[],
): Provider | undefined {
  if (named !== undefined) {
    const provider = providers.find(({ name }) => name === named);
    if (provider === undefined) {
      const known = providers.map(({ name }) => name).join(', ');
      problems.push({ path: `${path}.provider`, message: `is not a provider; known are ${known}` });
    }
    return provider;
  }
  const hosts = registriesSchema.safeParse(registries);
  if (!hosts.success) {
    problems.push(...hosts.error.issues.map((issue) => problemOf(issue, `${path}.registries`)));
    return undefined;
  }
  const provider = providers.find((candidate) =>
    hosts.data.every((host) => candidate.matches(hostOf(host))),
  );
  if (provider === undefined) {
    problems.push({ path: `${path}.provider`, message: unknownHost(hosts.data.join(', ')) });
  }
  return provider;
}

function unknownHost(registry: string): string {
  return `${registry} does not tell its provider; add an entry under credentials that names one, such as provider: basic`;
}

function secretEntries(file: ConfigFile): readonly SecretEntry[] {
  if (file.secrets) return file.secrets;
  return [
    {
      name: file.secretName ?? DEFAULT_SECRET_NAME,
      credentials: ['*'],
      namespaces: file.namespaces ?? [],
      serviceAccounts: file.serviceAccounts ?? [],
      onConflict: 'fail',
    },
  ];
}

function configureSecret(
  path: string,
  entry: SecretEntry,
  credentials: readonly ConfiguredCredential[],
  problems: Problem[],
): ConfiguredSecret {
  const chosen = new Set<ConfiguredCredential>();
  for (const [index, pattern] of entry.credentials.entries()) {
    const found = credentials.filter(({ name }) => matchesGlob(pattern, name));
    // With problems among the credentials, a name may be missing only because its entry was refused.
    if (found.length === 0 && problems.length === 0) {
      problems.push({
        path: `${path}.credentials[${index}]`,
        message: `no credential is called ${pattern}`,
      });
    }
    for (const credential of found) chosen.add(credential);
  }
  problems.push(...sharedRegistries(path, [...chosen]));
  const { namespaces } = entry;
  const selection = Array.isArray(namespaces)
    ? { include: namespaces, exclude: [], selector: undefined }
    : { include: namespaces.include, exclude: namespaces.exclude, selector: namespaces.selector };
  return { ...entry, credentials: [...chosen], namespaces: selection };
}

function sharedRegistries(path: string, credentials: readonly ConfiguredCredential[]): Problem[] {
  const owners = new Map<string, string>();
  return credentials.flatMap(({ name, registries }) =>
    registries.flatMap((registry) => {
      const owner = owners.get(registry);
      owners.set(registry, owner ?? name);
      return owner === undefined
        ? []
        : [
            {
              path: `${path}.credentials`,
              message: `${owner} and ${name} both log in to ${registry}; one Secret holds one login for a registry`,
            },
          ];
    }),
  );
}

function duplicateNames(entries: readonly LocatedEntry[]): Problem[] {
  const seen = new Set<string>();
  return entries.flatMap(({ path, entry }) => {
    const duplicate = seen.has(entry.name);
    seen.add(entry.name);
    return duplicate
      ? [{ path: `${path}.name`, message: `another credential is called ${entry.name}` }]
      : [];
  });
}

// Patterns and selectors are compared once the namespaces are known, in targets.ts.
function overlappingSecrets(secrets: readonly ConfiguredSecret[]): Problem[] {
  return secrets.flatMap((secret, index) =>
    secrets.slice(0, index).flatMap((other) => {
      const shared = [...secret.namespaces.include, ...other.namespaces.include].find(
        (namespace) =>
          isLiteral(namespace) &&
          !secret.namespaces.selector &&
          !other.namespaces.selector &&
          selectsName(secret.namespaces, namespace) &&
          selectsName(other.namespaces, namespace),
      );
      return secret.name === other.name && shared !== undefined
        ? [
            {
              path: `secrets[${index}].namespaces`,
              message: `another entry writes a Secret called ${secret.name} in namespace ${shared}`,
            },
          ]
        : [];
    }),
  );
}
