import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { expectEcr, expectEcrToken, awsError } from '../fakes/aws.ts';
import { expectMetadataToken } from '../fakes/google.ts';
import { Internet } from '../fakes/internet.ts';
import { connect } from './control-plane/client.ts';
import type { ControlPlaneClient } from './control-plane/client.ts';
import { actionsOf, runProgram } from './program.ts';
import type { ProgramRun } from './program.ts';

const NAME = 'registry-credentials';
const IRELAND = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';
const VIRGINIA = '123456789012.dkr.ecr.us-east-1.amazonaws.com';
const ROBOT = 'system:serviceaccount:registry-token-refresher:registry-token-refresher';
const CANARY = 'canary-e2e-9f3c';

const cluster: ControlPlaneClient = connect(inject('controlPlane'));
let internet: Internet;
let kubeconfig: string;
let number = 0;
/** Namespaces of one test; each has its own, so that tests stay apart. */
let spaces: readonly string[] = [];

beforeAll(async () => {
  internet = await Internet.start([
    '*.eu-west-1.amazonaws.com',
    '*.ecr.eu-west-1.amazonaws.com',
    '*.ecr.us-east-1.amazonaws.com',
  ]);
  await internet.writeCa(join(cluster.folder, 'internet.pem'));
  await applyManifest();
  const token = await cluster.serviceAccountToken(
    'registry-token-refresher',
    'registry-token-refresher',
  );
  kubeconfig = await cluster.kubeconfig({ token, user: 'robot' });
});
afterAll(async () => {
  await internet?.close();
  await cluster.close();
});
beforeEach(async () => {
  number += 1;
  spaces = ['a', 'b'].map((letter) => `case-${number}-${letter}`);
  await cluster.createNamespaces(spaces, { labels: { case: String(number) } });
});
afterEach(() => internet.verify());

// The shipped manifest, as a user would apply it; its Role is the one under test.
async function applyManifest(): Promise<void> {
  const manifest = await readFile('k8s/registry-token-refresher.yaml', 'utf8');
  expect(parseAllDocuments(manifest).length).toBeGreaterThan(5);
  const applied = await cluster.kubectl(['apply', '-f', '-'], { stdin: manifest });
  expect(applied).toMatchObject({ code: 0 });
}

async function writeConfig(config: object): Promise<string> {
  const file = join(cluster.folder, `config-${number}.yaml`);
  await writeFile(
    file,
    stringify({
      // Each test is an installation of its own: the Secrets of the others are not its orphans.
      instance: `case-${number}`,
      registries: [IRELAND],
      namespaces: { include: [`case-${number}-*`] },
      ...config,
    }),
  );
  return file;
}

async function run(config: object = {}, ...args: readonly string[]): Promise<ProgramRun> {
  return await runAs(kubeconfig, config, args);
}

async function runAs(
  user: string,
  config: object,
  args: readonly string[] = [],
  onStart?: Parameters<typeof runProgram>[2],
): Promise<ProgramRun> {
  const env = {
    ...internet.env,
    NODE_EXTRA_CA_CERTS: join(cluster.folder, 'internet.pem'),
    AWS_ACCESS_KEY_ID: 'AKIAFAKE',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_EC2_METADATA_DISABLED: 'true',
    GCE_METADATA_HOST: internet.plainAddress,
    METADATA_SERVER_DETECTION: 'assume-present',
  };
  const flags = ['--config', await writeConfig(config), '--kubeconfig', user, ...args];
  const result = await runProgram(flags, env, onStart);
  expect(result.output).not.toContain(CANARY);
  // Base64 of a text inside another one depends on where it starts.
  for (const start of [0, 1, 2]) {
    const inner = Buffer.from(`${' '.repeat(start)}${CANARY}`)
      .toString('base64')
      .slice(4, -4);
    expect(result.output).not.toContain(inner);
  }
  return result;
}

const secretPath = (namespace: string, name = NAME): string =>
  `/api/v1/namespaces/${namespace}/secrets/${name}`;

interface SecretBody {
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
  readonly metadata: {
    readonly resourceVersion: string;
    readonly annotations?: Record<string, string>;
  };
}

async function secret(namespace: string): Promise<SecretBody> {
  const { status, body } = await cluster.request<SecretBody>('GET', secretPath(namespace));
  expect(status).toBe(200);
  return body;
}

async function auths(
  namespace: string,
): Promise<Readonly<Record<string, { readonly password: string }>>> {
  const { data } = await secret(namespace);
  const text = Buffer.from(data['.dockerconfigjson'] ?? '', 'base64').toString();
  return (JSON.parse(text) as { auths: Record<string, { password: string }> }).auths;
}

async function createForeign(namespace: string, extra: object = {}): Promise<void> {
  const created = await cluster.request(
    'POST',
    `/api/v1/namespaces/${namespace}/secrets?fieldManager=helm`,
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: NAME },
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': Buffer.from('{"auths":{}}').toString('base64') },
      ...extra,
    },
    { 'content-type': 'application/json' },
  );
  expect(created.status).toBe(201);
}

describe('a run, under the shipped Role', () => {
  it('creates the Secret in every target with one request each, and then has nothing to do', async () => {
    expectEcrToken(internet, { region: 'eu-west-1', password: `${CANARY}-1` });
    let mark = await cluster.mark();
    const first = await run();
    expect(actionsOf(first)).toEqual({ create: spaces });
    expect(first.code).toBe(0);
    const writes = await cluster.requestsSince(mark, { user: ROBOT });
    expect(writes.filter(({ verb }) => verb === 'patch')).toHaveLength(spaces.length);
    expect(writes.filter(({ verb }) => verb !== 'patch' && verb !== 'list')).toEqual([]);
    expect((await auths(spaces[0] ?? ''))[IRELAND]?.password).toBe(`${CANARY}-1`);

    mark = await cluster.mark();
    const second = await run();
    expect(actionsOf(second)).toEqual({ fresh: ['2'] });
    const requests = await cluster.requestsSince(mark, { user: ROBOT });
    expect(requests.map(({ verb }) => verb)).toEqual(['list', 'list']);
  });

  it('writes byte for byte what kubectl create secret docker-registry makes', async () => {
    expectEcrToken(internet, { region: 'eu-west-1', password: `${CANARY}<&>` });
    await run();
    const { code, stdout } = await cluster.kubectl([
      'create',
      'secret',
      'docker-registry',
      NAME,
      '--dry-run=client',
      '-o',
      'json',
      '--docker-server',
      IRELAND,
      '--docker-username',
      'AWS',
      '--docker-password',
      `${CANARY}<&>`,
    ]);
    expect(code).toBe(0);
    const made = JSON.parse(stdout) as SecretBody;
    expect(await secret(spaces[0] ?? '')).toMatchObject({ type: made.type, data: made.data });
  });

  it('proves everything and writes nothing in a dry run', async () => {
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    const dry = await run({ serviceAccounts: ['default'] }, '--dry-run');
    expect(actionsOf(dry)).toEqual({ create: spaces });
    expect(actionsOf(dry, 'default')).toEqual({ attach: spaces });
    for (const namespace of spaces) {
      expect((await cluster.request('GET', secretPath(namespace))).status).toBe(404);
    }
  });

  it('renews on request, keeping the object', async () => {
    expectEcrToken(internet, { region: 'eu-west-1', password: `${CANARY}-1` });
    expectEcrToken(internet, { region: 'eu-west-1', password: `${CANARY}-2` });
    await run();
    const renewed = await run({}, '--force-renew');
    expect(actionsOf(renewed)).toEqual({ renew: spaces });
    expect((await auths(spaces[0] ?? ''))[IRELAND]?.password).toBe(`${CANARY}-2`);
  });

  it('renews a login of which a third is over', async () => {
    expectEcrToken(internet, { region: 'eu-west-1', password: `${CANARY}-1`, lifetime: 3 });
    await run();
    expectEcrToken(internet, { region: 'eu-west-1', password: `${CANARY}-2` });
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(actionsOf(await run())).toEqual({ renew: spaces });
  });

  it('repairs what was edited by hand, and names the editor', async () => {
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY }, 2);
    await run();
    const edited = await cluster.request(
      'PATCH',
      `${secretPath(spaces[0] ?? '')}?fieldManager=kubectl-edit`,
      { data: { '.dockerconfigjson': Buffer.from('{"auths":{}}').toString('base64') } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(edited.status).toBe(200);
    const repaired = await run();
    expect(actionsOf(repaired)).toEqual({ renew: [spaces[0]], fresh: ['1'] });
    expect(repaired.output).toContain('data was changed by kubectl-edit');
    expect((await auths(spaces[0] ?? ''))[IRELAND]?.password).toBe(CANARY);
  });

  it("leaves another's Secret alone, and takes it over only when told to", async () => {
    await createForeign(spaces[0] ?? '');
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    const before = await secret(spaces[0] ?? '');
    const refused = await run();
    expect(actionsOf(refused)).toEqual({ conflict: [spaces[0]], create: [spaces[1]] });
    expect(refused.code).toBe(1);
    expect(refused.output).toContain(
      'belongs to helm; choose another name, or set onConflict: force',
    );
    expect((await secret(spaces[0] ?? '')).metadata).toEqual(before.metadata);

    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    const forced = await run({
      namespaces: undefined,
      secrets: [{ name: NAME, namespaces: [`case-${number}-*`], onConflict: 'force' }],
    });
    expect(actionsOf(forced)).toEqual({ renew: [spaces[0]], fresh: ['1'] });
    expect((await auths(spaces[0] ?? ''))[IRELAND]?.password).toBe(CANARY);
  });

  it('reports a Secret of another type and an immutable one, which no force can change', async () => {
    await createForeign(spaces[0] ?? '', { type: 'Opaque', data: {} });
    await createForeign(spaces[1] ?? '', {
      immutable: true,
      data: { '.dockerconfigjson': Buffer.from('{"auths":{"x":{}}}').toString('base64') },
    });
    const left = await run();
    expect(actionsOf(left)).toEqual({ conflict: spaces });
    expect(left.output).toMatch(/belongs to helm; choose another name \(.*type: Invalid value/);
    expect(left.output).toMatch(/belongs to helm; choose another name \(.*`immutable` is set/);

    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    const forced = await run({
      namespaces: undefined,
      secrets: [{ name: NAME, namespaces: [`case-${number}-*`], onConflict: 'force' }],
    });
    expect(actionsOf(forced)).toEqual({ conflict: spaces });
    expect(forced.output).toMatch(/type: Invalid value.*field is immutable/);
    expect(forced.output).toMatch(/field is immutable when `immutable` is set/);
  });

  it('does not fight with a second installation', async () => {
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    await run({ instance: 'one' });
    const second = await run({ instance: 'two' });
    expect(actionsOf(second)).toEqual({ conflict: spaces });
    expect(second.output).toContain('belongs to the installation one');
  });

  it('reports what no longer belongs, with the command that removes it, and leaves it there', async () => {
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    await run();
    const narrowed = await run({ namespaces: [spaces[0]] });
    expect(actionsOf(narrowed)).toEqual({ fresh: ['1'], orphan: [spaces[1]] });
    expect(narrowed.code).toBe(0);
    expect(narrowed.output).toContain(`kubectl -n ${spaces[1]} delete secret ${NAME}`);
    await secret(spaces[1] ?? '');
  });

  it('limits itself to a registry or a namespace, and calls nothing an orphan for it', async () => {
    const [one = '', two = ''] = spaces;
    const config = {
      registries: undefined,
      namespaces: undefined,
      credentials: [
        { name: 'ireland', registries: [IRELAND] },
        { name: 'virginia', registries: [VIRGINIA] },
      ],
      secrets: [
        { name: NAME, credentials: ['ireland'], namespaces: [one] },
        { name: NAME, credentials: ['virginia'], namespaces: [two] },
      ],
    };
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    expectEcrToken(internet, { region: 'us-east-1', password: CANARY });
    await run(config);
    const byRegistry = await run(config, '--registry', IRELAND);
    expect(byRegistry.report?.counts).toEqual({ fresh: 1 });
    const byNamespace = await run(config, '--namespace', two);
    expect(byNamespace.report?.counts).toEqual({ fresh: 1 });
    const wrong = await run(config, '--namespace', 'nowhere');
    expect(wrong.code).toBe(2);
    expect(wrong.output).toContain('--namespace: nowhere is not a namespace');
  });

  it('skips a namespace that is being deleted', async () => {
    const held = await cluster.request(
      'POST',
      `/api/v1/namespaces/${spaces[0]}/configmaps`,
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'held', finalizers: ['example.com/hold'] },
      },
      { 'content-type': 'application/json' },
    );
    expect(held.status).toBe(201);
    await cluster.request('DELETE', `/api/v1/namespaces/${spaces[0]}`);
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    const result = await run();
    expect(actionsOf(result)).toEqual({ skip: [spaces[0]], create: [spaces[1]] });
    expect(result.code).toBe(0);
  });

  it('attaches ServiceAccounts and keeps the entries of others', async () => {
    const account = `/api/v1/namespaces/${spaces[0]}/serviceaccounts/default`;
    // The controller makes `default` a moment after the namespace.
    await expect
      .poll(async () => (await cluster.request('GET', account)).status, { timeout: 10_000 })
      .toBe(200);
    const prepared = await cluster.request(
      'PATCH',
      account,
      { imagePullSecrets: [{ name: 'of-somebody-else' }] },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(prepared.status).toBe(200);
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    const attached = await run({ serviceAccounts: ['default'] });
    expect(actionsOf(attached, 'default')).toEqual({ attach: spaces });
    const { body } = await cluster.request<{ imagePullSecrets: unknown }>('GET', account);
    expect(body.imagePullSecrets).toEqual([{ name: 'of-somebody-else' }, { name: NAME }]);
    expect(actionsOf(await run({ serviceAccounts: ['default'] }), 'default')).toEqual({
      fresh: ['2'],
    });
  });

  it('keeps the valid entry of a provider that fails, and renews the others', async () => {
    const registries = [IRELAND, VIRGINIA];
    expectEcrToken(internet, { region: 'eu-west-1', password: `${CANARY}-1` });
    expectEcrToken(internet, { region: 'us-east-1', password: `${CANARY}-2` });
    await run({ registries });
    expectEcrToken(internet, { region: 'eu-west-1', password: `${CANARY}-3` });
    expectEcr(internet, 'us-east-1', () => awsError(400, 'AccessDeniedException'));
    const partly = await run({ registries }, '--force-renew');
    expect(partly.code).toBe(1);
    expect(partly.output).toContain('AccessDeniedException');
    const entries = await auths(spaces[0] ?? '');
    expect(entries[IRELAND]?.password).toBe(`${CANARY}-3`);
    expect(entries[VIRGINIA]?.password).toBe(`${CANARY}-2`);
  });

  it('keeps the Secret when its only provider fails, and says that nothing could be done', async () => {
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    await run();
    const before = await secret(spaces[0] ?? '');
    expectEcr(internet, 'eu-west-1', () => awsError(400, 'AccessDeniedException'));
    const failed = await run({}, '--force-renew');
    expect(actionsOf(failed)).toEqual({ keep: spaces });
    expect(failed.code).toBe(3);
    expect(await secret(spaces[0] ?? '')).toEqual(before);
  });

  it('notices a rotated static login without reading the Secret', async () => {
    const config = {
      registries: undefined,
      credentials: [
        {
          name: 'hub',
          provider: 'basic',
          registries: ['docker.io'],
          username: 'me',
          password: { file: join(cluster.folder, `password-${number}`) },
        },
      ],
    };
    await writeFile(config.credentials[0]?.password.file ?? '', `${CANARY}-old`);
    expect(actionsOf(await run(config))).toEqual({ create: spaces });
    expect(actionsOf(await run(config))).toEqual({ fresh: ['2'] });
    await writeFile(config.credentials[0]?.password.file ?? '', `${CANARY}-new`);
    expect(actionsOf(await run(config))).toEqual({ renew: spaces });
    expect((await auths(spaces[0] ?? ''))['https://index.docker.io/v1/']?.password).toBe(
      `${CANARY}-new`,
    );
  });
});

describe('a run that is told to stop', () => {
  it('starts nothing new, prints its report and ends with 1', async () => {
    const asked = Promise.withResolvers<void>();
    expectEcr(internet, 'eu-west-1', () => {
      asked.resolve();
      return 'hang';
    });
    const stopped = await runAs(kubeconfig, {}, [], (stop) => {
      void asked.promise.then(() => stop('SIGTERM'));
    });
    expect(stopped.code).toBe(1);
    expect(stopped.report?.stopped).toBe(true);
    expect(actionsOf(stopped)).toEqual({ stop: spaces });
  });

  it('ends by itself when its time is over', async () => {
    expectEcr(internet, 'eu-west-1', () => 'hang');
    const stopped = await run({}, '--timeout', '2');
    expect(stopped.code).toBe(1);
    expect(actionsOf(stopped)).toEqual({ stop: spaces });
  });
});

describe('a cloud that never answers', () => {
  it('costs its own Secret only, and does not hold the process', async () => {
    expectMetadataToken(internet, () => 'hang');
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    const credentials = [
      { name: 'google', registries: ['gcr.io'], timeout: 1 },
      { name: 'aws', registries: [IRELAND] },
    ];
    const namespaces = [`case-${number}-*`];
    const secrets = [
      { name: NAME, credentials: ['aws'], namespaces },
      { name: 'google', credentials: ['google'], namespaces },
    ];
    const config = { registries: undefined, namespaces: undefined, credentials, secrets };
    const result = await runAs(await cluster.kubeconfig(), config, ['--timeout', '20']);
    expect(result.code).toBe(1);
    expect(actionsOf(result)).toEqual({ create: spaces });
    expect(actionsOf(result, 'google')).toEqual({ fail: spaces });
    expect(result.output).toContain('no answer within 1 s');
  });
});

describe('a kubeconfig with an exec plugin', () => {
  it('is used as kubectl uses it', async () => {
    const token = await cluster.serviceAccountToken(
      'registry-token-refresher',
      'registry-token-refresher',
    );
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token },
    };
    const answer = join(cluster.folder, 'exec-credential.json');
    await writeFile(answer, JSON.stringify(credential));
    const parsed = parse(await readFile(kubeconfig, 'utf8')) as {
      users: { user: Record<string, unknown> }[];
    };
    for (const entry of parsed.users) {
      entry.user = {
        exec: {
          apiVersion: credential.apiVersion,
          command: 'cat',
          args: [answer],
          interactiveMode: 'Never',
        },
      };
    }
    const withExec = join(cluster.folder, 'exec-kubeconfig.yaml');
    await writeFile(withExec, stringify(parsed));
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    expect(actionsOf(await runAs(withExec, {}))).toEqual({ create: spaces });
  });
});

describe('label selectors', () => {
  it.each([
    'case',
    '!case',
    'tier in (gold, silver)',
    'tier notin (gold)',
    'tier!=gold',
    'tier=gold,case',
  ])('select what the API server selects for %s', async (selector) => {
    const labelled = ['gold', 'silver'].map((tier) => [`case-${number}-${tier}`, tier] as const);
    for (const [name, tier] of labelled)
      await cluster.createNamespaces([name], { labels: { tier } });
    const { stdout } = await cluster.kubectl(['get', 'namespaces', '-l', selector, '-o', 'name']);
    const expected = stdout
      .split('\n')
      .map((line) => line.replace('namespace/', ''))
      .filter((name) => name.startsWith(`case-${number}-`))
      .toSorted();
    if (expected.length > 0) expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    const namespaces = { include: [`case-${number}-*`], selector };
    expect(actionsOf(await run({ namespaces })).create ?? []).toEqual(expected);
  });
});

describe('a run with rights in named namespaces only', () => {
  it('needs no cluster-wide right', async () => {
    const [namespace = ''] = spaces;
    const rules = [
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: [NAME],
        verbs: ['get', 'list', 'create', 'patch'],
      },
      {
        apiGroups: [''],
        resources: ['serviceaccounts'],
        resourceNames: ['default'],
        verbs: ['get', 'list', 'patch'],
      },
    ];
    const metadata = { name: 'refresher', namespace };
    const apiVersion = 'rbac.authorization.k8s.io/v1';
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'refresher' };
    const subjects = [{ kind: 'ServiceAccount', ...metadata }];
    const objects = [
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
      { apiVersion, kind: 'Role', metadata, rules },
      { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects },
    ];
    const stdin = objects.map((object) => stringify(object)).join('---\n');
    expect(await cluster.kubectl(['apply', '-f', '-'], { stdin })).toMatchObject({ code: 0 });
    const token = await cluster.serviceAccountToken(namespace, 'refresher');
    const user = await cluster.kubeconfig({ token, user: 'narrow' });
    const config = { namespaces: [namespace], serviceAccounts: ['default'] };
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    const first = await runAs(user, config);
    expect(first.output).not.toContain('forbidden');
    expect(actionsOf(first)).toEqual({ create: [namespace] });
    expect(actionsOf(first, 'default')).toEqual({ attach: [namespace] });
    expect(actionsOf(await runAs(user, config))).toEqual({ fresh: ['1'] });

    const wide = await runAs(user, { namespaces: ['*'] });
    expect(wide.code).toBe(3);
    expect(wide.output).toMatch(/namespaces is forbidden/);
  });
});

describe('many namespaces', () => {
  it('serves 600 of them, over two pages, with one write each', async () => {
    const names = Array.from({ length: 600 }, (_, index) => `case-${number}-n${index}`);
    await cluster.createNamespaces(names);
    expectEcrToken(internet, { region: 'eu-west-1', password: CANARY });
    const mark = await cluster.mark();
    const result = await run();
    expect(result.code).toBe(0);
    expect(result.report?.counts).toEqual({ create: 602 });
    const requests = await cluster.requestsSince(mark, { user: ROBOT });
    expect(requests.filter(({ verb }) => verb === 'patch')).toHaveLength(602);
    expect(requests.filter(({ verb }) => verb === 'list').length).toBeGreaterThan(2);
  });
});

describe('the shipped Role', () => {
  it('can neither read, list nor write another Secret, nor delete any', async () => {
    const token = await cluster.serviceAccountToken(
      'registry-token-refresher',
      'registry-token-refresher',
    );
    const headers = { authorization: `Bearer ${token}` };
    const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'other' } };
    const [namespace = ''] = spaces;
    const attempts: readonly (readonly ['GET' | 'POST' | 'PATCH' | 'DELETE', string, unknown?])[] =
      [
        ['GET', '/api/v1/secrets'],
        ['GET', `/api/v1/namespaces/${namespace}/secrets`],
        ['GET', secretPath(namespace, 'other')],
        ['GET', '/api/v1/secrets?fieldSelector=metadata.name=other'],
        ['POST', `/api/v1/namespaces/${namespace}/secrets`, manifest],
        ['PATCH', `${secretPath(namespace, 'other')}?fieldManager=x`, manifest],
        ['DELETE', secretPath(namespace)],
        ['DELETE', `/api/v1/namespaces/${namespace}/secrets`],
        ['GET', `/api/v1/namespaces/${namespace}/serviceaccounts/builder`],
        ['POST', `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`, {}],
        ['GET', '/api/v1/pods'],
      ];
    for (const [method, path, body] of attempts) {
      const answer = await cluster.request(method, path, body, headers);
      expect([method, path, answer.status]).toEqual([method, path, 403]);
    }
  });
});
