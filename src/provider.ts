import type { StandardSchemaV1 } from '@standard-schema/spec';

/** The version of this contract. A provider that states another one is not loaded. */
export const API_VERSION = 1;

/** One entry under `auths` of a dockerconfigjson Secret. `password` is secret. */
export interface RegistryCredential {
  /** Bare host with optional port and path: the key under `auths`. */
  readonly registry: string;
  readonly username: string;
  readonly password: string;
  /** When the registry stops accepting the password, or `never` for a static login. */
  readonly expiresAt: Date | 'never';
  /** Written beside the login, as `kubectl create secret docker-registry --docker-email` does. */
  readonly email?: string;
  /** One sentence for the operator about this login, printed in the report; holds no secret. */
  readonly notice?: string;
}

/** What a source may use while it fetches. */
export interface FetchContext {
  /** Aborted when the source's time is over or the run is stopped. */
  readonly signal: AbortSignal;
  /** The process's environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** One exchange that succeeds or fails as a whole: an ECR region, one ACR registry. */
export interface CredentialSource {
  /** The registries that this exchange answers for, each exactly once. */
  readonly registries: readonly string[];
  /**
   * Set where asking costs nothing, since only variables and files are read: then it is asked at
   * every run, so that a rotated password is noticed at once.
   */
  readonly local?: boolean;
  /**
   * Exchanges the workload's identity for registry logins.
   * Rejects with a `ProviderError`; never resolves empty.
   */
  getCredentials(context: FetchContext): Promise<readonly RegistryCredential[]>;
}

/** What each file in `src/providers/` exports, and what a third-party plugin exports. */
export interface Provider<Options = unknown> {
  readonly apiVersion: typeof API_VERSION;
  /** The value of `provider:` in the configuration. */
  readonly name: string;
  /** One line for `registry-token-refresher providers`: who it logs in as, and for how long. */
  readonly summary: string;
  /** The hosts it serves, as a person would write them, such as `*.azurecr.io`. */
  readonly hosts: readonly string[];
  /** Whether a bare host name is enough to choose this provider. */
  matches(host: string): boolean;
  /** Checks the options of one entry under `credentials` (all but `name` and `provider`). */
  readonly options: StandardSchemaV1<unknown, Options>;
  /** Pure: no I/O and no environment. Answers one source for each exchange that can fail alone. */
  configure(options: Options): readonly CredentialSource[];
}

/**
 * Keeps the options' type inside a provider's own file and hides it from the table of providers,
 * whose entries are called with options that their own schema has already checked.
 */
export function defineProvider<Options>(provider: Provider<Options>): Provider {
  return provider;
}
