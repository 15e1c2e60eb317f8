import { createHash, scryptSync } from 'node:crypto';
import type { ConfiguredSecret } from './config.ts';
import type { RegistryCredential } from './provider.ts';

/** Who sets the fields of our Secrets, in `metadata.managedFields`. */
export const FIELD_MANAGER = 'registry-token-refresher';

/** The instance of a run that no CronJob and no configuration names: that of the shipped manifest. */
const DEFAULT_INSTANCE = 'registry-token-refresher/registry-token-refresher';

/**
 * Who owns the Secrets of a run: the configuration's `instance`, else the CronJob's namespace and
 * name as the manifest passes them, else the shipped manifest's, so that a run from a laptop with
 * the same configuration sees the CronJob's Secrets as its own.
 */
export function instanceFrom(
  configured: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string {
  const { CRONJOB_NAMESPACE, CRONJOB_NAME } = env;
  if (configured !== undefined) return configured;
  return CRONJOB_NAMESPACE && CRONJOB_NAME
    ? `${CRONJOB_NAMESPACE}/${CRONJOB_NAME}`
    : DEFAULT_INSTANCE;
}

const INSTANCE = `${FIELD_MANAGER}/instance`;
const REVISION = `${FIELD_MANAGER}/revision`;
const ENTRIES = `${FIELD_MANAGER}/entries`;

/** When one login was issued and when it ends. */
export interface EntryLife {
  readonly issuedAt: Date;
  readonly expiresAt: Date | 'never';
}

/** A login and when it was fetched. */
export interface IssuedCredential extends RegistryCredential {
  readonly issuedAt: Date;
}

/** What a Secret's annotations tell about its content, without reading it. */
export interface SecretRecord {
  /** The installation that wrote it; `undefined` where it is not one of ours. */
  readonly instance: string | undefined;
  /** From which configuration it was made. */
  readonly revision: string | undefined;
  /** The life of each registry's login in it; a damaged entry is left out and so counts as absent. */
  readonly entries: ReadonlyMap<string, EntryLife>;
}

/** Reads a Secret's annotations; never throws, since anybody may have edited them. */
export function readRecord(annotations: Readonly<Record<string, string>>): SecretRecord {
  return {
    instance: annotations[INSTANCE],
    revision: annotations[REVISION],
    entries: parseEntries(annotations[ENTRIES]),
  };
}

/** The annotations that `readRecord` reads back. Times are RFC 3339 in UTC. */
export function recordAnnotations(record: SecretRecord): Readonly<Record<string, string>> {
  const entries = [...record.entries]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([registry, { issuedAt, expiresAt }]) => [
      registry,
      [issuedAt.toISOString(), expiresAt === 'never' ? 'never' : expiresAt.toISOString()],
    ]);
  return {
    ...(record.instance !== undefined && { [INSTANCE]: record.instance }),
    ...(record.revision !== undefined && { [REVISION]: record.revision }),
    [ENTRIES]: JSON.stringify(Object.fromEntries(entries)),
  };
}

/**
 * A short hash of all that decides a Secret's content but time: which logins, from which options,
 * and a fingerprint of each static login, so that a rotated password is noticed without reading
 * the Secret.
 */
export function revisionOf(
  secret: ConfiguredSecret,
  statics: readonly RegistryCredential[],
): string {
  const hash = createHash('sha256');
  for (const { written } of secret.credentials) hash.update(`${canonicalJson(written)}\n`);
  for (const credential of statics) hash.update(`${fingerprint(secret.name, credential)}\n`);
  return hash.digest('hex').slice(0, 16);
}

// Annotations end up in dashboards and backups, and passwords can be guessed: the hash is a slow one.
function fingerprint(secret: string, { registry, username, password }: RegistryCredential): string {
  const salt = `${FIELD_MANAGER}/${secret}/${registry}/${username}`;
  return scryptSync(password, salt, 16).toString('hex');
}

function parseEntries(annotation: string | undefined): ReadonlyMap<string, EntryLife> {
  try {
    const parsed: unknown = JSON.parse(annotation ?? '{}');
    if (typeof parsed !== 'object' || parsed === null) return new Map();
    return new Map(
      Object.entries(parsed).flatMap(([registry, life]) => {
        const entry = parseLife(life);
        return entry === undefined ? [] : [[registry, entry] as const];
      }),
    );
  } catch {
    return new Map();
  }
}

function parseLife(life: unknown): EntryLife | undefined {
  if (!Array.isArray(life)) return undefined;
  const [issued, expires] = life as unknown[];
  const issuedAt = new Date(String(issued));
  const expiresAt = expires === 'never' ? 'never' : new Date(String(expires));
  const valid =
    Number.isFinite(issuedAt.getTime()) &&
    (expiresAt === 'never' || Number.isFinite(expiresAt.getTime()));
  return valid ? { issuedAt, expiresAt } : undefined;
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
