import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { fetchLogins } from '../../src/credentials.ts';
import { providers } from '../../src/providers/index.ts';
import { Redactor } from '../../src/redact.ts';
import { expectMetadataToken } from '../fakes/google.ts';
import { Internet } from '../fakes/internet.ts';

// In a file of its own: the library goes on asking after it was given up.
let internet: Internet;

beforeAll(async () => {
  internet = await Internet.start([]);
  vi.stubEnv('GCE_METADATA_HOST', internet.plainAddress);
  vi.stubEnv('METADATA_SERVER_DETECTION', 'assume-present');
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await internet.close();
});

it('costs a Google registry no more than its own time when no answer comes', async () => {
  expectMetadataToken(internet, () => 'hang');
  const credential = { name: 'google', registries: ['gcr.io'], timeout: 1 };
  const { credentials } = parseConfig({ credentials: [credential], namespaces: ['*'] }, providers);
  const { failed } = await fetchLogins(
    credentials.flatMap((each) => each.sources.map((source) => ({ credential: each, source }))),
    {
      env: {},
      signal: new AbortController().signal,
      now: () => new Date(),
      redactor: new Redactor(),
    },
  );
  expect(failed[0]?.error).toMatchObject({ reason: 'timeout', message: 'no answer within 1 s' });
  internet.verify();
});
