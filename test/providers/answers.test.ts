import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { fetchLogins } from '../../src/credentials.ts';
import type { Logins } from '../../src/credentials.ts';
import { providers } from '../../src/providers/index.ts';
import { Redactor } from '../../src/redact.ts';
import { ecrHost, expectEcr, expectEcrToken } from '../fakes/aws.ts';
import { CLIENT, TENANT, expectEntraToken, expectExchange, refreshToken } from '../fakes/azure.ts';
import { expectMetadataToken, googleToken } from '../fakes/google.ts';
import { Internet } from '../fakes/internet.ts';

// What every provider has in common, through the step that calls them all.
const ECR = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';
const ACR = 'example.azurecr.io';
const GOOGLE = 'gcr.io';

let internet: Internet;
let env: Record<string, string>;

beforeAll(async () => {
  internet = await Internet.start([ecrHost('eu-west-1'), ACR, 'login.microsoftonline.com']);
  internet.trust();
  const folder = await mkdtemp(join(tmpdir(), 'rtr-'));
  const token = join(folder, 'token');
  await writeFile(token, 'federated');
  env = {
    ...internet.env,
    HOME: folder,
    AWS_ACCESS_KEY_ID: 'AKIAFAKE',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AZURE_CLIENT_ID: CLIENT,
    AZURE_TENANT_ID: TENANT,
    AZURE_FEDERATED_TOKEN_FILE: token,
    GCE_METADATA_HOST: internet.plainAddress,
    METADATA_SERVER_DETECTION: 'assume-present',
  };
  // The SDKs read the process's environment.
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await internet.close();
});
afterEach(() => internet.verify());

async function fetchOf(registry: string, timeout: number): Promise<Logins> {
  const { credentials } = parseConfig(
    { credentials: [{ name: 'c', registries: [registry], timeout }], namespaces: ['*'] },
    providers,
  );
  return await fetchLogins(
    credentials.flatMap((credential) =>
      credential.sources.map((source) => ({ credential, source })),
    ),
    {
      env,
      signal: new AbortController().signal,
      now: () => new Date(),
      redactor: new Redactor(),
    },
  );
}

describe('a login that has already expired', () => {
  it.each([
    [ECR, () => expectEcrToken(internet, { region: 'eu-west-1', password: 'p', lifetime: -60 })],
    [
      ACR,
      () => {
        const body = { refresh_token: refreshToken(ACR, { lifetime: -60 }) };
        expectEntraToken(internet, 'entra');
        expectExchange(internet, ACR, 'entra', () => ({ body }));
      },
    ],
  ])('is a failure of %s', async (registry, prepare) => {
    prepare();
    const { issued, failed } = await fetchOf(registry, 30);
    expect(issued).toEqual([]);
    expect(failed[0]?.error.message).toMatch(/had already expired at/);
  });
});

describe('a cloud that does not answer', () => {
  it.each([
    [ECR, () => expectEcr(internet, 'eu-west-1', () => 'hang')],
    [
      ACR,
      () => {
        expectEntraToken(internet, 'entra');
        expectExchange(internet, ACR, 'entra', () => 'hang');
      },
    ],
  ])('costs %s no more than its own time', async (registry, prepare) => {
    prepare();
    const { failed } = await fetchOf(registry, 1);
    expect(failed[0]?.error.reason).toBe('timeout');
  });
});

describe('one entry of each provider', () => {
  it('is fetched, whatever the others do', async () => {
    expectMetadataToken(internet, () => googleToken('token'));
    const { issued } = await fetchOf(GOOGLE, 30);
    expect(issued).toHaveLength(1);
  });
});
