/** One mistake in the configuration or the command line. */
export interface Problem {
  /** Where it stands, such as `secrets[0].namespaces.include[1]`, or the name of a variable or flag. */
  readonly path: string;
  readonly message: string;
}

/** The input is wrong: the run has not started and nothing was written. Exit code 2. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('\n'));
    this.problems = problems;
  }
}

/**
 * Why a provider gave no usable credential:
 * - `refused`: the identity may not do this (401, 403, AccessDenied); trying again is useless.
 * - `unavailable`: the other side was throttling, failing or out of reach after its retries.
 * - `timeout`: no answer within the credential's time.
 * - `malformed`: an answer that is empty, incomplete, for another registry or already expired.
 * - `unconfigured`: something the provider needs at run time is absent, such as a variable or file.
 */
export type ProviderErrorReason =
  'refused' | 'unavailable' | 'timeout' | 'malformed' | 'unconfigured';

/** A provider's failure, told in one line that holds no secret. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError';
  readonly reason: ProviderErrorReason;
  /** What the operator can do next. */
  readonly remedy: string | undefined;

  constructor(
    reason: ProviderErrorReason,
    message: string,
    options: { readonly remedy?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.remedy = options.remedy;
  }
}
