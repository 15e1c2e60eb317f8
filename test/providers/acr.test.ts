import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ProviderError } from '../../src/errors.ts';
import type { RegistryCredential } from '../../src/provider.ts';
import { acr } from '../../src/providers/acr.ts';
import {
  CLIENT,
  TENANT,
  expectDiscovery,
  expectEntra,
  expectEntraToken,
  expectExchange,
  refreshToken,
} from '../fakes/azure.ts';
import { Internet } from '../fakes/internet.ts';

const REGISTRY = 'example.azurecr.io';
const ENTRA = 'entra-access-token-canary';
const SECRET = 'client-secret-canary';

let internet: Internet;
let env: Record<string, string>;

beforeAll(async () => {
  internet = await Internet.start([
    '*.azurecr.io',
    '*.azurecr.cn',
    'registry.corp.example',
    'evil.example.net',
    'login.microsoftonline.com',
    'login.chinacloudapi.cn',
  ]);
  internet.trust();
  for (const [name, value] of Object.entries(internet.env)) vi.stubEnv(name, value);
  const folder = await mkdtemp(join(tmpdir(), 'rtr-'));
  const file = join(folder, 'token');
  await writeFile(file, 'federated-token-canary');
  env = { AZURE_CLIENT_ID: CLIENT, AZURE_TENANT_ID: TENANT, AZURE_FEDERATED_TOKEN_FILE: file };
});
afterAll(() => internet.close());
beforeEach(() => expect(internet.requests).toEqual([]));
afterEach(() => internet.verify());

async function fetchAll(
  options: object = {},
  context: { readonly env?: Record<string, string>; readonly signal?: AbortSignal } = {},
): Promise<readonly RegistryCredential[]> {
  const checked = acr.options['~standard'].validate({ registries: [REGISTRY], ...options });
  if (checked instanceof Promise) throw new Error('options are checked at once');
  if (checked.issues) throw new Error(JSON.stringify(checked.issues));
  const answers = await Promise.all(
    acr
      .configure(checked.value)
      .map((source) =>
        source.getCredentials({ env, signal: new AbortController().signal, ...context }),
      ),
  );
  return answers.flat();
}

async function failureOf(...args: Parameters<typeof fetchAll>): Promise<ProviderError> {
  const error: unknown = await fetchAll(...args).catch((thrown: unknown) => thrown);
  if (!(error instanceof ProviderError)) throw new Error(`not a ProviderError: ${String(error)}`);
  expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toMatch(/canary/);
  return error;
}

describe('acr', () => {
  it('exchanges the federated token of the workload for a login that says when it ends', async () => {
    const token = refreshToken(REGISTRY, { lifetime: 4500 });
    expectEntraToken(internet, ENTRA, {
      form: {
        client_assertion: 'federated-token-canary',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      },
    });
    expectExchange(internet, REGISTRY, ENTRA, () => ({ body: { refresh_token: token } }));
    const [login] = await fetchAll();
    expect(login).toMatchObject({
      registry: REGISTRY,
      username: '00000000-0000-0000-0000-000000000000',
      password: token,
    });
    expect(Math.abs(Number(login?.expiresAt) - Date.now() - 4_500_000)).toBeLessThan(5_000);
  });

  it('asks Entra ID once for all registries of an entry', async () => {
    expectEntraToken(internet, ENTRA);
    const registries = ['one.azurecr.io', 'two.azurecr.io'];
    for (const registry of registries) {
      expectExchange(internet, registry, ENTRA, () => ({
        body: { refresh_token: refreshToken(registry) },
      }));
    }
    await expect(fetchAll({ registries })).resolves.toHaveLength(2);
  });

  it('logs in with a service principal, its secret from a reference', async () => {
    expectEntraToken(internet, ENTRA, { form: { client_secret: SECRET } });
    expectExchange(internet, REGISTRY, ENTRA, () => ({
      body: { refresh_token: refreshToken(REGISTRY) },
    }));
    const identity = {
      type: 'servicePrincipal',
      tenantId: TENANT,
      clientId: CLIENT,
      clientSecret: { env: 'MY_SECRET' },
    };
    await expect(fetchAll({ identity }, { env: { MY_SECRET: SECRET } })).resolves.toHaveLength(1);
  });

  it("finds Entra ID of the registry's cloud, and takes an ARM audience on request", async () => {
    const registry = 'example.azurecr.cn';
    expectDiscovery(internet, 'login.chinacloudapi.cn');
    expectEntraToken(internet, ENTRA, {
      host: 'login.chinacloudapi.cn',
      scope: 'https://management.chinacloudapi.cn/.default',
    });
    expectExchange(internet, registry, ENTRA, () => ({
      body: { refresh_token: refreshToken(registry) },
    }));
    await expect(fetchAll({ registries: [registry], audience: 'arm' })).resolves.toHaveLength(1);
  });

  it.each([
    ['throttling', () => ({ status: 429, headers: { 'retry-after': '0' } })],
    ['a server error', () => ({ status: 503 })],
    ['a reset connection', () => 'reset' as const],
  ])('tries the exchange again after %s', async (_case, failure) => {
    expectEntraToken(internet, ENTRA);
    expectExchange(internet, REGISTRY, ENTRA, failure);
    expectExchange(internet, REGISTRY, ENTRA, () => ({
      body: { refresh_token: refreshToken(REGISTRY) },
    }));
    await expect(fetchAll()).resolves.toHaveLength(1);
  });

  it('asks a registry that refuses only once, and names the role that is missing', async () => {
    expectEntraToken(internet, ENTRA);
    expectExchange(internet, REGISTRY, ENTRA, () => ({ status: 401, body: `no: ${ENTRA}` }));
    const error = await failureOf();
    expect(error).toMatchObject({
      reason: 'refused',
      message: 'example.azurecr.io: the exchange was answered HTTP 401',
    });
    expect(error.remedy).toMatch(/AcrPull/);
  });

  it('asks Entra ID only once when it refuses, and passes on its error code alone', async () => {
    expectEntra(internet, {}, () => ({
      status: 401,
      body: { error: 'invalid_client', error_description: `AADSTS7000215: wrong ${SECRET}` },
    }));
    await expect(failureOf()).resolves.toMatchObject({
      reason: 'refused',
      message: expect.stringContaining('AADSTS7000215') as string,
    });
  });

  it('shows the Entra token to no other host, whatever the registry answers', async () => {
    expectEntraToken(internet, ENTRA);
    expectExchange(internet, REGISTRY, ENTRA, () => ({
      status: 307,
      headers: { location: 'https://evil.example.net/oauth2/exchange' },
    }));
    await expect(failureOf()).resolves.toMatchObject({ reason: 'malformed' });
    expect(internet.requests.map(({ host }) => host)).not.toContain('evil.example.net');
  });

  it('stops waiting when it is told to', async () => {
    expectEntraToken(internet, ENTRA);
    expectExchange(internet, REGISTRY, ENTRA, () => 'hang');
    await expect(failureOf({}, { signal: AbortSignal.timeout(1_000) })).resolves.toMatchObject({
      reason: 'timeout',
    });
  });

  it.each([
    ['nothing', ''],
    ['another form', '{"token":"canary"}'],
    ['a token that is no JWT', '{"refresh_token":"canary"}'],
    [
      'a token without an end',
      `{"refresh_token":"e30.${Buffer.from('{"a":1}').toString('base64url')}.x"}`,
    ],
    [
      "another registry's token",
      JSON.stringify({ refresh_token: refreshToken('other.azurecr.io') }),
    ],
  ])('takes an answer with %s for malformed', async (_case, body) => {
    expectEntraToken(internet, ENTRA);
    expectExchange(internet, REGISTRY, ENTRA, () => ({ body }));
    await expect(failureOf()).resolves.toMatchObject({ reason: 'malformed' });
  });

  it('names the variable that is missing', async () => {
    const partial = { AZURE_FEDERATED_TOKEN_FILE: '/nowhere', AZURE_CLIENT_ID: CLIENT };
    await expect(failureOf({}, { env: partial })).resolves.toMatchObject({
      reason: 'unconfigured',
      message: 'variable AZURE_TENANT_ID is not set',
    });
  });

  it('exchanges with a host outside of ACR only if the operator allowed it by name', async () => {
    const registry = 'registry.corp.example';
    await expect(fetchAll({ registries: [registry] })).rejects.toThrow(/"path":\["registries",0\]/);
    expectEntraToken(internet, ENTRA);
    expectExchange(internet, registry, ENTRA, () => ({
      body: { refresh_token: refreshToken(registry) },
    }));
    await expect(
      fetchAll({ registries: [registry], allowHosts: [registry] }),
    ).resolves.toHaveLength(1);
  });
});

describe('the hosts of ACR', () => {
  it.each(['example.azurecr.io', 'example-hash123.azurecr.cn', 'a.azurecr.us', 'b.azurecr.de'])(
    'include %s',
    (host) => {
      expect(acr.matches(host)).toBe(true);
    },
  );

  it('include nothing else', () => {
    fc.assert(
      fc.property(fc.domain(), (domain) => {
        expect(acr.matches(domain)).toBe(false);
        expect(acr.matches(`example.azurecr.io.${domain}`)).toBe(false);
        expect(acr.matches(`${domain}/example.azurecr.io`)).toBe(false);
        expect(acr.matches(`${domain}:443/.azurecr.io`)).toBe(false);
      }),
    );
  });
});
