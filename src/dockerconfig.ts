import type { RegistryCredential } from './provider.ts';

/** The type of every Secret written here. A Secret's type can never change. */
export const SECRET_TYPE = 'kubernetes.io/dockerconfigjson';

/** The one key that a Secret of this type holds. */
export const SECRET_KEY = '.dockerconfigjson';

/** One login as a dockerconfigjson holds it. Other fields of a foreign entry are kept as they are. */
export type AuthEntry = Readonly<Record<string, unknown>>;

/** What the kubelet reads: one login for each registry. */
export type Auths = Readonly<Record<string, AuthEntry>>;

/**
 * One entry under `auths`, its fields in the order in which
 * `kubectl create secret docker-registry` writes them.
 */
export function authEntry({ username, password, email }: RegistryCredential): AuthEntry {
  return {
    username,
    password,
    ...(email !== undefined && { email }),
    auth: base64(`${username}:${password}`),
  };
}

/**
 * The `.dockerconfigjson` of some logins, keys sorted. For one login it is byte for byte what
 * `kubectl create secret docker-registry` makes (compared with a real kubectl in the tests), so
 * Go's escapes for `<`, `>`, `&` and the line separators are kept.
 */
export function dockerConfigJson(auths: Auths): string {
  const sorted = Object.keys(auths)
    .toSorted()
    .map((registry) => `${quote(registry)}:${goJson(auths[registry])}`);
  return `{"auths":{${sorted.join(',')}}}`;
}

/** The entries of an existing `.dockerconfigjson`, or `undefined` if it is not one. */
export function parseDockerConfigJson(text: string): Auths | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isRecord(parsed) || !isRecord(parsed.auths)) return undefined;
    const entries = Object.entries(parsed.auths);
    return entries.every((entry): entry is [string, AuthEntry] => isLogin(entry[1]))
      ? Object.fromEntries(entries)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Base64 of a text's UTF-8 bytes, as Kubernetes carries Secret data. */
export function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

// A malformed `auth` in one entry fails the pulls of a whole Pod, so such an entry is not a login.
function isLogin(entry: unknown): boolean {
  if (!isRecord(entry)) return false;
  const { auth } = entry;
  if (auth === undefined) return typeof entry.username === 'string';
  return (
    typeof auth === 'string' &&
    /^[A-Za-z0-9+/]+={0,2}$/.test(auth) &&
    Buffer.from(auth, 'base64').includes(':')
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function goJson(value: unknown): string {
  return escapeLikeGo(JSON.stringify(value));
}

function quote(text: string): string {
  return escapeLikeGo(JSON.stringify(text));
}

// encoding/json escapes these so that its output may stand in HTML and in JavaScript.
function escapeLikeGo(json: string): string {
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
