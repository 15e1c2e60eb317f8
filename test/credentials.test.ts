import { describe, expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';
import { fetchLogins } from '../src/credentials.ts';
import type { Logins } from '../src/credentials.ts';
import { Redactor } from '../src/redact.ts';
import { CANARY, testProviders } from './fakes/provider.ts';

async function fetchOf(
  registries: readonly string[],
  options: { readonly timeout?: number; readonly signal?: AbortSignal } = {},
): Promise<Logins> {
  const config = parseConfig(
    {
      credentials: [{ name: 'c', registries, timeout: options.timeout ?? 30 }],
      namespaces: ['*'],
    },
    testProviders,
  );
  return await fetchLogins(
    config.credentials.flatMap((credential) =>
      credential.sources.map((source) => ({ credential, source })),
    ),
    {
      env: {},
      signal: options.signal ?? new AbortController().signal,
      now: () => new Date(),
      redactor: new Redactor(),
    },
  );
}

describe('fetchLogins', () => {
  it('issues what it can and reports the rest, one exchange not touching another', async () => {
    const { issued, failed } = await fetchOf(['test.example.com', 'broken.example.com']);
    expect(issued.map(({ login }) => login.registry)).toEqual(['test.example.com']);
    expect(failed.map(({ error }) => [error.reason, error.remedy])).toEqual([
      ['refused', 'grant it'],
    ]);
  });

  it.each([
    ['empty.example.com', /no login for empty.example.com/],
    ['foreign.example.com', /registry that was not asked for/],
    ['expired.example.com', /had already expired/],
    ['blank.example.com', /password for blank.example.com is empty/],
    ['garbled.example.com', /password for garbled.example.com is empty or not usable/],
    ['undated.example.com', /does not say when it expires/],
    ['nothing.example.com', /not a list/],
  ])('takes the answer of %s for a failure', async (registry, message) => {
    const { issued, failed } = await fetchOf([registry]);
    expect(issued).toEqual([]);
    expect(failed[0]?.error.reason).toBe('malformed');
    expect(failed[0]?.error.message).toMatch(message);
    expect(failed[0]?.error.message).not.toContain(CANARY);
  });

  it('tells only the kind of an unexpected error, which may quote a secret', async () => {
    const { failed } = await fetchOf(['leaking.example.com']);
    expect(failed[0]?.error.message).toBe('provider test failed unexpectedly (Error)');
  });

  it('gives up on a provider that never settles', async () => {
    const { failed } = await fetchOf(['hanging.example.com'], { timeout: 0.05 });
    expect(failed[0]?.error).toMatchObject({
      reason: 'timeout',
      message: 'no answer within 0.05 s',
    });
  });

  it('gives up at once when the run is stopped', async () => {
    const { failed } = await fetchOf(['hanging.example.com'], { signal: AbortSignal.abort() });
    expect(failed[0]?.error.message).toMatch(/the run was stopped/);
  });
});
