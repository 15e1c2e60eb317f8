import type { ConfiguredCredential } from './config.ts';
import { ProviderError } from './errors.ts';
import type { IssuedCredential } from './ownership.ts';
import type { CredentialSource, FetchContext, RegistryCredential } from './provider.ts';
import type { Redactor } from './redact.ts';

/** One exchange of one configured credential. */
export interface Exchange {
  readonly credential: ConfiguredCredential;
  readonly source: CredentialSource;
}

/** An exchange that gave no usable login. */
export interface FailedExchange extends Exchange {
  readonly error: ProviderError;
}

/** What a run got from its providers. */
export interface Logins {
  readonly issued: readonly { readonly credential: string; readonly login: IssuedCredential }[];
  readonly failed: readonly FailedExchange[];
}

/** What the fetching of credentials needs of the run. */
export interface FetchOptions {
  readonly env: FetchContext['env'];
  /** Aborted when the run stops. */
  readonly signal: AbortSignal;
  readonly now: () => Date;
  /** Learns every secret the moment it exists. */
  readonly redactor: Redactor;
}

/** Runs all exchanges at once, each within its own time; one that fails does not touch the others. */
export async function fetchLogins(
  exchanges: readonly Exchange[],
  options: FetchOptions,
): Promise<Logins> {
  const results = await Promise.all(exchanges.map((exchange) => runExchange(exchange, options)));
  return {
    issued: results.flatMap((result) =>
      'error' in result
        ? []
        : result.logins.map((login) => ({ credential: result.exchange.credential.name, login })),
    ),
    failed: results.flatMap((result) =>
      'error' in result ? [{ ...result.exchange, error: result.error }] : [],
    ),
  };
}

type ExchangeResult =
  | { readonly exchange: Exchange; readonly logins: readonly IssuedCredential[] }
  | { readonly exchange: Exchange; readonly error: ProviderError };

async function runExchange(exchange: Exchange, options: FetchOptions): Promise<ExchangeResult> {
  try {
    const answered = await withinTime(exchange, options);
    for (const login of Array.isArray(answered) ? answered : []) options.redactor.addLogin(login);
    return { exchange, logins: checkLogins(exchange.source, answered, options.now()) };
  } catch (error) {
    return { exchange, error: asProviderError(error, exchange.credential) };
  }
}

// Some SDKs ignore the signal, so the answer races against it as well.
async function withinTime(
  { credential, source }: Exchange,
  { env, signal }: FetchOptions,
): Promise<readonly RegistryCredential[]> {
  const timeout = AbortSignal.timeout(credential.timeoutSeconds * 1000);
  const either = AbortSignal.any([timeout, signal]);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void =>
    reject(
      signal.aborted
        ? new ProviderError('timeout', 'the run was stopped before the login was issued')
        : new ProviderError('timeout', `no answer within ${credential.timeoutSeconds} s`, {
            remedy: 'check the way out to the provider: DNS, proxy, firewall, network policy',
          }),
    );
  either.addEventListener('abort', onAbort, { once: true });
  if (either.aborted) onAbort();
  try {
    return await Promise.race([source.getCredentials({ signal: either, env }), aborted]);
  } finally {
    either.removeEventListener('abort', onAbort);
  }
}

// Providers answer for other machines, and plugins come from strangers: nothing is taken on trust.
function checkLogins(
  source: CredentialSource,
  answered: unknown,
  now: Date,
): readonly IssuedCredential[] {
  if (!Array.isArray(answered))
    throw new ProviderError('malformed', 'the answer is not a list of logins');
  const logins = answered as readonly RegistryCredential[];
  const registries = logins.map(({ registry }) => registry);
  const absent = source.registries.filter((registry) => !registries.includes(registry));
  if (absent.length > 0) {
    throw new ProviderError('malformed', `the answer has no login for ${absent.join(', ')}`);
  }
  const foreign = registries.filter(
    (registry, index) =>
      !source.registries.includes(registry) || registries.indexOf(registry) !== index,
  );
  if (foreign.length > 0) {
    throw new ProviderError(
      'malformed',
      'the answer has a login for a registry that was not asked for',
    );
  }
  return logins.map((login) => ({ ...checkLogin(login, now), issuedAt: now }));
}

function checkLogin(login: RegistryCredential, now: Date): RegistryCredential {
  const { registry, username, password, expiresAt } = login;
  if (!isPrintable(username) || username.includes(':')) {
    throw new ProviderError('malformed', `the user name for ${registry} is empty or not usable`);
  }
  if (!isPrintable(password)) {
    throw new ProviderError('malformed', `the password for ${registry} is empty or not usable`);
  }
  if (expiresAt !== 'never') {
    if (!(expiresAt instanceof Date) || Number.isNaN(expiresAt.getTime())) {
      throw new ProviderError(
        'malformed',
        `the login for ${registry} does not say when it expires`,
      );
    }
    if (expiresAt.getTime() <= now.getTime()) {
      throw new ProviderError(
        'malformed',
        `the login for ${registry} had already expired at ${expiresAt.toISOString()}`,
        { remedy: 'check the clock of this machine' },
      );
    }
  }
  return login;
}

// A control character would break the `Authorization` header that a client makes of it; a key file
// under `_json_key` may span lines.
function isPrintable(value: unknown): value is string {
  // oxlint-disable-next-line no-control-regex
  return typeof value === 'string' && value !== '' && !/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(value);
}

function asProviderError(error: unknown, { provider }: ConfiguredCredential): ProviderError {
  if (error instanceof ProviderError) return error;
  // Its message may quote a secret that nobody knows yet, so only its kind is told.
  const kind = error instanceof Error ? error.name : typeof error;
  return new ProviderError('malformed', `provider ${provider} failed unexpectedly (${kind})`, {
    cause: error,
  });
}
