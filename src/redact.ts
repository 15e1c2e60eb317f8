import type { RegistryCredential } from './provider.ts';

/** Shorter texts occur by chance; a password this short is none. */
const MIN_LENGTH = 4;

/** What stands where a secret stood. */
const MARK = '[redacted]';

/**
 * The last line of defence: no output is meant to hold a secret, and none that passes here does.
 * Covers the password, its base64, `username:password` in base64, and the JSON-escaped form.
 */
export class Redactor {
  readonly #secrets = new Set<string>();

  /** Learns a login as soon as it exists. */
  addLogin({ username, password }: Pick<RegistryCredential, 'username' | 'password'>): void {
    this.add(password);
    this.add(Buffer.from(`${username}:${password}`).toString('base64'));
  }

  /** Learns one secret text. */
  add(secret: unknown): void {
    if (typeof secret !== 'string' || secret.length < MIN_LENGTH) return;
    const base64 = Buffer.from(secret).toString('base64');
    const forms = [
      secret,
      base64.replace(/=+$/, ''),
      Buffer.from(secret).toString('base64url'),
      encodeURIComponent(secret),
      JSON.stringify(secret).slice(1, -1),
    ];
    for (const form of forms) this.#secrets.add(form);
  }

  /** The text without any secret learnt so far. */
  redact(text: string): string {
    let clean = text;
    // Longer ones first: a secret may hold another one.
    for (const secret of [...this.#secrets].toSorted((a, b) => b.length - a.length)) {
      clean = clean.replaceAll(secret, MARK);
    }
    return clean;
  }
}
