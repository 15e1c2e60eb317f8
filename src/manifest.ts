import type { ConfiguredSecret } from './config.ts';
import {
  SECRET_KEY,
  SECRET_TYPE,
  authEntry,
  base64,
  dockerConfigJson,
  parseDockerConfigJson,
} from './dockerconfig.ts';
import type { AuthEntry } from './dockerconfig.ts';
import type { Logins } from './credentials.ts';
import { isExpired } from './due.ts';
import { FIELD_MANAGER, recordAnnotations } from './ownership.ts';
import type { EntryLife, IssuedCredential, SecretRecord } from './ownership.ts';

/** The logins of one Secret: those that were issued now, and the registries that got none. */
export interface SecretContent {
  readonly secret: ConfiguredSecret;
  readonly instance: string;
  readonly revision: string | undefined;
  readonly issued: readonly IssuedCredential[];
  /** Registries whose provider failed in this run. */
  readonly failed: readonly string[];
}

/** What this run can put into a Secret. */
export function secretContent(
  secret: ConfiguredSecret,
  { instance, revision }: Pick<SecretContent, 'instance' | 'revision'>,
  { issued }: Logins,
): SecretContent {
  const wanted = new Set(secret.credentials.map(({ name }) => name));
  const logins = issued
    .filter(({ credential }) => wanted.has(credential))
    .map(({ login }) => login);
  const got = new Set(logins.map(({ registry }) => registry));
  const failed = secret.credentials
    .flatMap(({ registries }) => registries)
    .filter((registry) => !got.has(registry));
  return { secret, instance, revision, issued: logins, failed };
}

/** A login that an existing Secret keeps. */
export interface KeptEntry {
  readonly registry: string;
  readonly entry: AuthEntry;
  /** `undefined` where the Secret was edited, so that nobody knows. */
  readonly life: EntryLife | undefined;
}

/**
 * The entries that an existing Secret keeps because their provider failed: all that are not known
 * to be expired.
 */
export function keptEntries(
  { failed }: SecretContent,
  existing: string,
  record: SecretRecord,
  options: { readonly drifted: boolean; readonly now: Date },
): readonly KeptEntry[] {
  const auths = parseDockerConfigJson(existing) ?? {};
  return failed.flatMap((registry) => {
    const entry = auths[registry];
    const life = options.drifted ? undefined : record.entries.get(registry);
    if (entry === undefined || (life && isExpired(life, options.now))) return [];
    return [{ registry, entry, life }];
  });
}

/**
 * The manifest to apply, as JSON. It names no namespace, so that one text serves all of them.
 * A Secret that lacks a login carries no revision: the next run completes it.
 */
export function secretManifest(content: SecretContent, kept: readonly KeptEntry[] = []): string {
  const auths = Object.fromEntries([
    ...kept.map(({ registry, entry }) => [registry, entry] as const),
    ...content.issued.map((login) => [login.registry, authEntry(login)] as const),
  ]);
  const entries = new Map([
    ...kept.flatMap(({ registry, life }) => (life ? [[registry, life] as const] : [])),
    ...content.issued.map((login) => [login.registry, login] as const),
  ]);
  const complete = content.failed.length === 0;
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: content.secret.name,
      labels: { 'app.kubernetes.io/managed-by': FIELD_MANAGER },
      annotations: recordAnnotations({
        instance: content.instance,
        revision: complete ? content.revision : undefined,
        entries,
      }),
    },
    type: SECRET_TYPE,
    data: { [SECRET_KEY]: base64(dockerConfigJson(auths)) },
  });
}
