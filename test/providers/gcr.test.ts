import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ProviderError } from '../../src/errors.ts';
import type { RegistryCredential } from '../../src/provider.ts';
import { gcr } from '../../src/providers/gcr.ts';
import {
  expectFederation,
  expectImpersonation,
  expectJwtGrant,
  expectMetadataToken,
  googleToken,
} from '../fakes/google.ts';
import { Internet } from '../fakes/internet.ts';

const REGISTRY = 'europe-docker.pkg.dev';
const TOKEN = 'ya29.access-token-canary';
const ISSUER = 'puller@project.iam.gserviceaccount.com';

const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

let internet: Internet;
let folder: string;

beforeAll(async () => {
  internet = await Internet.start([
    'oauth2.googleapis.com',
    'sts.googleapis.com',
    'iamcredentials.googleapis.com',
  ]);
  internet.trust();
  folder = await mkdtemp(join(tmpdir(), 'rtr-'));
});
afterAll(() => internet.close());
beforeEach(() => {
  for (const [name, value] of Object.entries(internet.env)) vi.stubEnv(name, value);
  vi.stubEnv('HOME', folder);
  vi.stubEnv('GCE_METADATA_HOST', internet.plainAddress);
  vi.stubEnv('METADATA_SERVER_DETECTION', 'assume-present');
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  internet.verify();
});

async function fetchAll(
  options: object = {},
  signal = new AbortController().signal,
): Promise<readonly RegistryCredential[]> {
  const checked = gcr.options['~standard'].validate({ registries: [REGISTRY], ...options });
  if (checked instanceof Promise) throw new Error('options are checked at once');
  if (checked.issues) throw new Error(JSON.stringify(checked.issues));
  const answers = await Promise.all(
    gcr.configure(checked.value).map((source) => source.getCredentials({ env: {}, signal })),
  );
  return answers.flat();
}

async function failureOf(...args: Parameters<typeof fetchAll>): Promise<ProviderError> {
  const error: unknown = await fetchAll(...args).catch((thrown: unknown) => thrown);
  if (!(error instanceof ProviderError)) throw new Error(`not a ProviderError: ${String(error)}`);
  expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toMatch(/canary/);
  return error;
}

async function jsonFile(name: string, content: object): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify(content));
  return path;
}

const keyFile = (): Promise<string> =>
  jsonFile('key.json', {
    type: 'service_account',
    project_id: 'project',
    private_key_id: 'k1',
    private_key: privateKey,
    client_email: ISSUER,
    client_id: '1',
  });

describe('gcr', () => {
  it("uses the workload's token from the metadata server for all registries of an entry", async () => {
    expectMetadataToken(internet, () => googleToken(TOKEN));
    const logins = await fetchAll({ registries: [REGISTRY, 'gcr.io'] });
    expect(
      logins.map(({ registry, username, password }) => [registry, username, password]),
    ).toEqual([
      [REGISTRY, 'oauth2accesstoken', TOKEN],
      ['gcr.io', 'oauth2accesstoken', TOKEN],
    ]);
    expect(Math.abs(Number(logins[0]?.expiresAt) - Date.now() - 3_599_000)).toBeLessThan(5_000);
    expect(logins[0]?.notice).toBeUndefined();
  });

  it('says so when the metadata server hands out a token with minutes to live', async () => {
    expectMetadataToken(internet, () => googleToken(TOKEN, 400));
    const [login] = await fetchAll();
    expect(login?.notice).toMatch(/6 min to live; impersonate/);
  });

  it('signs in with a service-account key, through the proxy', async () => {
    expectJwtGrant(internet, ISSUER, publicKey, () => googleToken(TOKEN));
    const [login] = await fetchAll({ credentialsFile: await keyFile() });
    expect(login?.password).toBe(TOKEN);
  });

  it('exchanges a federated token from a file', async () => {
    const audience =
      '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k';
    await writeFile(join(folder, 'subject'), 'subject-canary');
    const file = await jsonFile('federation.json', {
      type: 'external_account',
      audience,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token',
      credential_source: { file: join(folder, 'subject') },
    });
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', file);
    expectFederation(internet, { audience, subjectToken: 'subject-canary' }, () => ({
      body: {
        access_token: TOKEN,
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: 900,
      },
    }));
    const [login] = await fetchAll();
    expect(login?.password).toBe(TOKEN);
  });

  it('mints a new token of another service account', async () => {
    expectMetadataToken(internet, () => googleToken('source-canary'));
    expectImpersonation(
      internet,
      { serviceAccount: ISSUER, source: 'source-canary', lifetime: 7200 },
      () => ({
        body: { accessToken: TOKEN, expireTime: new Date(Date.now() + 7_200_000).toISOString() },
      }),
    );
    const [login] = await fetchAll({ impersonate: { serviceAccount: ISSUER, lifetime: 7200 } });
    expect(login?.password).toBe(TOKEN);
    expect(Number(login?.expiresAt)).toBeGreaterThan(Date.now() + 7_000_000);
  });

  it.each([
    ['throttling', () => ({ status: 429 })],
    ['a server error', () => ({ status: 503 })],
    ['a reset connection', () => 'reset' as const],
  ])('tries again after %s', async (_case, failure) => {
    expectJwtGrant(internet, ISSUER, publicKey, failure);
    expectJwtGrant(internet, ISSUER, publicKey, () => googleToken(TOKEN));
    await expect(fetchAll({ credentialsFile: await keyFile() })).resolves.toHaveLength(1);
  });

  it.each([401, 403])('asks only once when it is answered %i', async (status) => {
    expectJwtGrant(internet, ISSUER, publicKey, () => ({
      status,
      body: { error: 'invalid_grant', error_description: 'canary' },
    }));
    const error = await failureOf({ credentialsFile: await keyFile() });
    expect(error).toMatchObject({
      reason: 'refused',
      message: `Google gave no access token (HTTP ${status})`,
    });
  });

  it('takes an answer without a token for malformed', async () => {
    expectJwtGrant(internet, ISSUER, publicKey, () => ({ body: {} }));
    await expect(failureOf({ credentialsFile: await keyFile() })).resolves.toMatchObject({
      reason: 'malformed',
    });
  });

  it('names a credentials file that is not there or not one', async () => {
    const missing = await failureOf({ credentialsFile: join(folder, 'nowhere') });
    expect(missing.message).toMatch(/nowhere cannot be read \(ENOENT\)/);
    const other = await jsonFile('other.json', { type: 'authorized_user', secret: 'canary' });
    const wrong = await failureOf({ credentialsFile: other });
    expect(wrong.message).toMatch(/is neither a service-account key nor/);
  });

  it('says what to set when there is no identity', async () => {
    vi.stubEnv('METADATA_SERVER_DETECTION', 'none');
    await expect(failureOf()).resolves.toMatchObject({
      reason: 'unconfigured',
      remedy: expect.stringContaining('GOOGLE_APPLICATION_CREDENTIALS') as string,
    });
  });
});

describe('the hosts of Google', () => {
  it.each(['gcr.io', 'eu.gcr.io', 'europe-west1-docker.pkg.dev', 'docker.us-east1.rep.pkg.dev'])(
    'include %s',
    (host) => {
      expect(gcr.matches(host)).toBe(true);
    },
  );

  it('include nothing else', () => {
    fc.assert(
      fc.property(fc.domain(), (domain) => {
        expect(gcr.matches(domain)).toBe(false);
        expect(gcr.matches(`gcr.io.${domain}`)).toBe(false);
        expect(gcr.matches(`${domain}/gcr.io`)).toBe(false);
      }),
    );
    expect(gcr.matches('notgcr.io')).toBe(false);
  });
});
