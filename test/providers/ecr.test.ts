import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ProviderError } from '../../src/errors.ts';
import type { CredentialSource, RegistryCredential } from '../../src/provider.ts';
import { ecr } from '../../src/providers/ecr.ts';
import {
  awsError,
  ecrHost,
  ecrToken,
  expectAssumeRole,
  expectEcr,
  expectEcrToken,
} from '../fakes/aws.ts';
import { Internet } from '../fakes/internet.ts';

const REGION = 'eu-west-1';
const REGISTRY = `123456789012.dkr.ecr.${REGION}.amazonaws.com`;
const CANARY = 'canary:ecr-pa55/word+=';

let internet: Internet;
let home: string;

beforeAll(async () => {
  internet = await Internet.start([
    '*.amazonaws.com',
    '*.ecr.eu-west-1.amazonaws.com',
    '*.eu-west-1.amazonaws.com',
    'api.ecr.us-east-1.amazonaws.com',
  ]);
  internet.trust();
  home = await mkdtemp(join(tmpdir(), 'rtr-'));
});
afterAll(() => internet.close());

beforeEach(() => {
  for (const name of Object.keys(process.env).filter((key) => key.startsWith('AWS_'))) {
    vi.stubEnv(name, undefined);
  }
  vi.stubEnv('HOME', home);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAFAKE');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret-key-canary');
});
afterEach(() => {
  vi.unstubAllEnvs();
  internet.verify();
});

function sourcesOf(options: object): readonly CredentialSource[] {
  const checked = ecr.options['~standard'].validate({ registries: [REGISTRY], ...options });
  if (checked instanceof Promise) throw new Error('options are checked at once');
  if (checked.issues) throw new Error(JSON.stringify(checked.issues));
  return ecr.configure(checked.value);
}

async function fetchAll(
  options: object = {},
  signal = new AbortController().signal,
): Promise<readonly RegistryCredential[]> {
  const answers = await Promise.all(
    sourcesOf(options).map((source) => source.getCredentials({ signal, env: internet.env })),
  );
  return answers.flat();
}

async function failureOf(options: object = {}, signal?: AbortSignal): Promise<ProviderError> {
  const error: unknown = await fetchAll(options, signal).catch((thrown: unknown) => thrown);
  if (!(error instanceof ProviderError)) throw new Error(`not a ProviderError: ${String(error)}`);
  expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toMatch(/canary/);
  return error;
}

describe('ecr', () => {
  it('exchanges the identity for a login, splitting the token at its first colon', async () => {
    expectEcrToken(internet, { region: REGION, password: CANARY });
    const [login] = await fetchAll();
    expect(login).toMatchObject({ registry: REGISTRY, username: 'AWS', password: CANARY });
    const life = Number(login?.expiresAt) - Date.now();
    expect(life / 1000).toBeGreaterThan(43_190);
  });

  it('asks once for all registries of a region, and once for each region', async () => {
    expectEcrToken(internet, { region: REGION, password: 'one' });
    expectEcrToken(internet, { region: 'us-east-1', password: 'two' });
    const other = `210987654321.dkr.ecr.${REGION}.amazonaws.com`;
    const american = '123456789012.dkr.ecr.us-east-1.amazonaws.com';
    const logins = await fetchAll({ registries: [REGISTRY, american, other] });
    expect(Object.fromEntries(logins.map((l) => [l.registry, l.password]))).toEqual({
      [REGISTRY]: 'one',
      [other]: 'one',
      [american]: 'two',
    });
  });

  it.each([
    ['throttling', () => awsError(400, 'ThrottlingException')],
    ['a server error', () => awsError(503, 'ServerException')],
    ['a reset connection', () => 'reset' as const],
  ])('tries again after %s', async (_case, failure) => {
    expectEcr(internet, REGION, failure);
    expectEcrToken(internet, { region: REGION, password: CANARY });
    await expect(fetchAll()).resolves.toHaveLength(1);
  });

  it('asks only once when it is refused', async () => {
    expectEcr(internet, REGION, () => awsError(400, 'AccessDeniedException'));
    const error = await failureOf();
    expect(error).toMatchObject({ reason: 'refused' });
    expect(error.message).toBe('ECR in eu-west-1: AccessDeniedException (HTTP 400)');
    expect(error.remedy).toMatch(/ecr:GetAuthorizationToken/);
  });

  it('says that it is unavailable when every try fails', async () => {
    expectEcr(internet, REGION, () => awsError(500, 'ServerException'), 4);
    await expect(failureOf()).resolves.toMatchObject({ reason: 'unavailable' });
  });

  it('stops waiting when it is told to', async () => {
    expectEcr(internet, REGION, () => 'hang');
    await expect(failureOf({}, AbortSignal.timeout(200))).resolves.toMatchObject({
      reason: 'timeout',
    });
  });

  it.each([
    [
      'no token',
      () => ({
        headers: { 'content-type': 'application/x-amz-json-1.1' },
        body: { authorizationData: [] },
      }),
    ],
    ['nothing', () => ({ headers: { 'content-type': 'application/x-amz-json-1.1' }, body: {} })],
    [
      "another region's token",
      () => ecrToken({ region: REGION, password: CANARY, proxyRegion: 'us-east-1' }),
    ],
  ])('takes an answer with %s for malformed', async (_case, answer) => {
    expectEcr(internet, REGION, answer);
    await expect(failureOf()).resolves.toMatchObject({ reason: 'malformed' });
  });

  it('takes a token without a colon for malformed', async () => {
    expectEcr(internet, REGION, () => ({
      headers: { 'content-type': 'application/x-amz-json-1.1' },
      body: {
        authorizationData: [{ authorizationToken: 'bm9jb2xvbg==', expiresAt: 4_000_000_000 }],
      },
    }));
    await expect(failureOf()).resolves.toMatchObject({ reason: 'malformed' });
  });

  it('takes on a role of another account, with its external id, through the proxy', async () => {
    const arn = 'arn:aws:iam::210987654321:role/pull';
    expectAssumeRole(
      internet,
      REGION,
      { Action: 'AssumeRole', RoleArn: arn, ExternalId: 'x1' },
      'ASIAROLE',
    );
    expectEcr(internet, REGION, ({ headers }) => {
      expect(headers.authorization).toContain('Credential=ASIAROLE/');
      return ecrToken({ region: REGION, password: CANARY });
    });
    await expect(fetchAll({ assumeRole: { arn, externalId: 'x1' } })).resolves.toHaveLength(1);
  });

  it('uses the identity that EKS gives to a ServiceAccount (IRSA), through the proxy', async () => {
    const token = join(home, 'token');
    await writeFile(token, 'canary-web-identity');
    const arn = 'arn:aws:iam::123456789012:role/irsa';
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined);
    vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', token);
    vi.stubEnv('AWS_ROLE_ARN', arn);
    vi.stubEnv('AWS_REGION', REGION);
    expectAssumeRole(
      internet,
      REGION,
      {
        Action: 'AssumeRoleWithWebIdentity',
        RoleArn: arn,
        WebIdentityToken: 'canary-web-identity',
      },
      'ASIAIRSA',
    );
    expectEcrToken(internet, { region: REGION, password: CANARY });
    await expect(fetchAll()).resolves.toHaveLength(1);
  });

  it('says what to set when there is no identity', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined);
    const error = await failureOf();
    expect(error).toMatchObject({ reason: 'unconfigured' });
    expect(error.remedy).toMatch(/IRSA/);
  });

  it('names a registry that is not an ECR one', () => {
    expect(() => sourcesOf({ registries: [REGISTRY, 'quay.io'] })).toThrow(
      /"path":\["registries",1\]/,
    );
  });
});

describe('the hosts of ECR', () => {
  it.each([
    REGISTRY,
    '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn',
    '123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu',
    '123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com',
    '123456789012.dkr-ecr.eu-west-1.on.aws',
    '123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov',
    '123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov',
  ])('include %s', (host) => {
    expect(ecr.matches(host)).toBe(true);
  });

  it('include nothing else', () => {
    fc.assert(
      fc.property(fc.domain(), fc.domain(), (domain, other) => {
        expect(ecr.matches(domain)).toBe(false);
        expect(ecr.matches(`${REGISTRY}.${domain}`)).toBe(false);
        expect(ecr.matches(`${other}/${REGISTRY}`)).toBe(false);
      }),
    );
    expect(ecr.matches('12345.dkr.ecr.eu-west-1.amazonaws.com')).toBe(false);
    expect(ecrHost(REGION)).toBe('api.ecr.eu-west-1.amazonaws.com');
  });
});
