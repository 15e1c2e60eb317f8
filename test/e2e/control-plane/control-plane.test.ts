import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { connect } from './client.ts';
import type { ControlPlaneClient } from './client.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';

describe('the shared control plane', () => {
  const cluster = connect(inject('controlPlane'));
  afterAll(() => cluster.close());

  it('is ready and of the version that go.mod names', async () => {
    expect(await cluster.request('GET', '/readyz')).toMatchObject({ status: 200, body: 'ok' });
    const goMod = await readFile(join(import.meta.dirname, 'go.mod'), 'utf8');
    const { body } = await cluster.request<{ gitVersion: string }>('GET', '/version');
    if (process.env['KUBEBUILDER_ASSETS'] === undefined) {
      expect(goMod).toContain(`k8s.io/kubernetes ${body.gitVersion}\n`);
    }
  });

  it('gives a new namespace its ServiceAccount and the cluster CA', async () => {
    const namespace = await newNamespace(cluster);
    const path = `/api/v1/namespaces/${namespace}`;
    await expect
      .poll(() => status(cluster, `${path}/serviceaccounts/default`), { timeout: 10_000 })
      .toBe(200);
    await expect
      .poll(() => status(cluster, `${path}/configmaps/kube-root-ca.crt`), { timeout: 10_000 })
      .toBe(200);
  });

  it('deletes a namespace to the end', async () => {
    const namespace = await newNamespace(cluster);
    await cluster.request('DELETE', `/api/v1/namespaces/${namespace}`);
    await expect
      .poll(() => status(cluster, `/api/v1/namespaces/${namespace}`), { timeout: 30_000 })
      .toBe(404);
  });

  it('creates many namespaces with labels', async () => {
    const group = randomUUID();
    const names = Array.from({ length: 100 }, (_, index) => `many-${group.slice(0, 8)}-${index}`);
    await cluster.createNamespaces(names, { labels: { group } });
    const list = `/api/v1/namespaces?labelSelector=group%3D${group}`;
    const { body } = await cluster.request<{ items: unknown[] }>('GET', list);
    expect(body.items).toHaveLength(100);
    await expect(cluster.createNamespaces(names.slice(0, 1))).rejects.toThrow(
      /failed to create namespace 'many-.*-0' \(409\): .*already exists/,
    );
  });

  it('lets a ServiceAccount apply the Secret of one name and of no other', async () => {
    const { namespace, token } = await newRefresher(cluster);
    const apply = (name: string) =>
      cluster.request<{ message?: string }>(
        'PATCH',
        `/api/v1/namespaces/${namespace}/secrets/${name}?fieldManager=test`,
        secret(name),
        { authorization: `Bearer ${token}` },
      );
    expect((await apply('registry-credentials')).status).toBe(201);
    expect((await apply('registry-credentials')).status).toBe(200);
    const refused = await apply('other');
    expect(refused.status).toBe(403);
    expect(refused.body.message).toContain(
      `User "system:serviceaccount:${namespace}:refresher" cannot patch resource "secrets"`,
    );
  });

  it('enforces Pod Security on a namespace that asks for it', async () => {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    const namespace = await newNamespace(cluster, labels);
    await expect
      .poll(() => status(cluster, `/api/v1/namespaces/${namespace}/serviceaccounts/default`))
      .toBe(200);
    const pod = {
      metadata: { name: 'app' },
      spec: { containers: [{ name: 'app', image: 'app' }] },
    };
    const answer = await cluster.request('POST', `/api/v1/namespaces/${namespace}/pods`, pod);
    expect(answer.status).toBe(403);
  });

  it('counts requests exactly, by user', async () => {
    const { namespace, token } = await newRefresher(cluster);
    const user = `system:serviceaccount:${namespace}:refresher`;
    const headers = { authorization: `Bearer ${token}`, 'user-agent': 'counted' };
    const path = `/api/v1/namespaces/${namespace}/secrets/registry-credentials?fieldManager=test`;
    const body = secret('registry-credentials');
    await cluster.request('PATCH', path, body, headers);

    const mark = await cluster.mark();
    expect(await cluster.requestsSince(mark, { user })).toEqual([]);
    await Promise.all(
      Array.from({ length: 200 }, () => cluster.request('PATCH', path, body, headers)),
    );
    const requests = await cluster.requestsSince(mark, { user });
    expect(requests).toHaveLength(200);
    const expected = { verb: 'patch', uri: path, user, userAgent: 'counted', code: 200 };
    for (const request of requests) expect(request).toMatchObject(expected);
    expect(await cluster.requestsSince(await cluster.mark(), { user })).toEqual([]);
  });

  it('counts a watch once, as soon as it is answered', async () => {
    const mark = await cluster.mark();
    const watch = (seconds: number) =>
      cluster.request('GET', `/api/v1/pods?watch=1&timeoutSeconds=${seconds}`, undefined, {
        'user-agent': 'watcher',
      });
    await watch(1);
    const isOpen = watch(3);
    await expect
      .poll(async () =>
        (await cluster.requestsSince(mark)).filter(({ userAgent }) => userAgent === 'watcher'),
      )
      .toMatchObject([
        { verb: 'watch', code: 200 },
        { verb: 'watch', code: 200 },
      ]);
    await isOpen;
  });

  it('counts refused requests too, and none of the controllers', async () => {
    const mark = await cluster.mark();
    const wrong = { authorization: 'Bearer wrong', 'user-agent': 'wrong' };
    expect((await cluster.request('GET', '/api', undefined, wrong)).status).toBe(401);
    const namespace = await newNamespace(cluster);
    await expect
      .poll(() => status(cluster, `/api/v1/namespaces/${namespace}/serviceaccounts/default`))
      .toBe(200);
    const requests = await cluster.requestsSince(mark);
    expect(requests.filter(({ userAgent }) => userAgent === 'wrong')).toMatchObject([
      { uri: '/api', user: '', code: 401 },
    ]);
    const agents = new Set(requests.map(({ userAgent }) => userAgent.split('/')[0]));
    expect(agents).not.toContain('kube-controller-manager');
    expect(agents).not.toContain('kube-apiserver');
  });

  it('runs kubectl, as admin or as whom a kubeconfig names', async () => {
    const namespace = await newNamespace(cluster);
    const applied = await cluster.kubectl(['apply', '-n', namespace, '-f', '-'], {
      stdin: JSON.stringify(secret('from-kubectl')),
    });
    expect(applied).toEqual({ code: 0, stdout: 'secret/from-kubectl created\n', stderr: '' });

    const refresher = await newRefresher(cluster);
    const kubeconfig = await cluster.kubeconfig({ ...refresher, user: 'refresher' });
    const whoAmI = ['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'];
    expect(await cluster.kubectl(whoAmI, { kubeconfig })).toMatchObject({
      stdout: `system:serviceaccount:${refresher.namespace}:refresher`,
    });
    expect(await cluster.kubectl(['get', 'secrets'], { kubeconfig })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`in the namespace "${refresher.namespace}"`),
    });
  });

  it('writes a kubeconfig whose certificate authority verifies the server', async () => {
    const kubeconfig = parse(await readFile(await cluster.kubeconfig(), 'utf8')) as {
      clusters: { cluster: Record<string, string> }[];
    };
    const { server = '', ...tls } = kubeconfig.clusters[0]?.cluster ?? {};
    expect(Object.keys(tls)).toEqual(['certificate-authority-data']);
    const ca = Buffer.from(tls['certificate-authority-data'] ?? '', 'base64');
    expect(ca).toEqual(await readFile(cluster.caFile));
    await expect(handshake(server, ca)).resolves.toBe('verified');
    await expect(handshake(server, undefined)).rejects.toMatchObject({
      code: 'SELF_SIGNED_CERT_IN_CHAIN',
    });
    await expect(handshake(server, ca, 'elsewhere.example')).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });
});

describe('a control plane of its own', () => {
  let cluster: ControlPlane;
  beforeAll(async () => {
    cluster = await startControlPlane({ apiServerArgs: ['--max-requests-inflight=900'] });
  }, 120_000);
  afterAll(() => cluster.stop());

  it('takes further flags', async () => {
    const { body } = await cluster.request('GET', '/flagz');
    // What stands between name and value changes from answer to answer, against parsers.
    expect(body).toMatch(/^max-requests-inflight\W+900$/m);
    expect(body).toMatch(/^max-mutating-requests-inflight\W+400$/m);
  });

  it('comes back after its API server was killed, at the same address', async () => {
    const namespace = await newNamespace(cluster);
    const mark = await cluster.mark();
    await cluster.killApiServer();
    await expect(cluster.request('GET', '/readyz')).rejects.toThrow();
    expect(await cluster.requestsSince(mark)).toEqual([]);
    await cluster.startApiServer();
    expect(await status(cluster, `/api/v1/namespaces/${namespace}`)).toBe(200);
  }, 60_000);

  it('answers nothing while etcd is paused, and goes on after', async () => {
    const namespace = `paused-${randomUUID()}`;
    await cluster.pauseEtcd();
    let isAnswered = false;
    const creation = cluster.createNamespaces([namespace]).then(() => (isAnswered = true));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(isAnswered).toBe(false);
    cluster.resumeEtcd();
    await creation;
    expect(await status(cluster, `/api/v1/namespaces/${namespace}`)).toBe(200);
  }, 60_000);
});

describe('the start', () => {
  it('is refused with the log of a component that exits', async () => {
    const start = startControlPlane({ apiServerArgs: ['--no-such-flag'] });
    await expect(start).rejects.toThrow(
      /^kube-apiserver ended with code 1 before it was ready:\n[^]*unknown flag: --no-such-flag/,
    );
  }, 60_000);

  it('leaves nothing behind, even when this process is killed', async () => {
    const parent = spawn(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `import { startControlPlane } from ${JSON.stringify(import.meta.resolve('./control-plane.ts'))};
         const { folder, pids } = await startControlPlane();
         console.log(JSON.stringify({ folder, pids: Object.values(pids()) }));`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    onTestFinished(() => void parent.kill('SIGKILL'));
    const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
    const { folder, pids } = JSON.parse(line) as { folder: string; pids: number[] };
    expect(pids.map(isAlive)).toEqual([true, true, true]);

    parent.kill('SIGKILL');
    await expect.poll(() => pids.map(isAlive), { timeout: 5000 }).toEqual([false, false, false]);
    await expect.poll(() => access(folder).catch(() => 'gone'), { timeout: 5000 }).toBe('gone');
  }, 60_000);
});

async function newNamespace(
  cluster: ControlPlaneClient,
  labels: Readonly<Record<string, string>> = {},
): Promise<string> {
  const name = `test-${randomUUID()}`;
  await cluster.createNamespaces([name], { labels });
  return name;
}

/** A ServiceAccount which may apply the Secret `registry-credentials`, and its token. */
async function newRefresher(
  cluster: ControlPlaneClient,
): Promise<{ namespace: string; token: string }> {
  const namespace = await newNamespace(cluster);
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  const account = { kind: 'ServiceAccount', name: 'refresher', namespace };
  await cluster.request('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, {
    metadata: { name: 'refresher' },
  });
  await cluster.request('POST', `${rbac}/clusterroles`, {
    metadata: { name: namespace },
    rules: [
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: ['registry-credentials'],
        verbs: ['create', 'patch'],
      },
    ],
  });
  await cluster.request('POST', `${rbac}/clusterrolebindings`, {
    metadata: { name: namespace },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: namespace },
    subjects: [account],
  });
  const token = await cluster.serviceAccountToken(namespace, 'refresher');
  // The authorizer reads roles from a cache, which may lag behind the answers above.
  const review = {
    spec: {
      user: `system:serviceaccount:${namespace}:refresher`,
      resourceAttributes: {
        verb: 'patch',
        resource: 'secrets',
        name: 'registry-credentials',
        namespace,
      },
    },
  };
  await expect
    .poll(() =>
      cluster.request('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', review),
    )
    .toMatchObject({ body: { status: { allowed: true } } });
  return { namespace, token };
}

function secret(name: string): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: { key: 'value' } };
}

async function status(cluster: ControlPlaneClient, path: string): Promise<number> {
  return (await cluster.request('GET', path)).status;
}

async function handshake(
  server: string,
  ca: Buffer | undefined,
  servername?: string,
): Promise<string> {
  const { hostname, port } = new URL(server);
  const socket = tlsConnect({
    host: hostname,
    port: Number(port),
    ...(ca && { ca }),
    ...(servername !== undefined && { servername }),
  });
  try {
    await once(socket, 'secureConnect');
    return 'verified';
  } finally {
    socket.destroy();
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
