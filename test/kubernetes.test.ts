import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Cluster } from '../src/cluster.ts';
import { connect } from '../src/kubernetes-cluster.ts';

type Reply =
  { readonly status?: number; readonly headers?: object; readonly body?: object } | 'reset';

/** An API server that gives its prepared answers in order, and keeps what it was asked. */
let server: http.Server;
let replies: Reply[] = [];
let asked: { method: string; path: string; authorization: string; body: string }[] = [];
let cluster: Cluster;
let close: () => Promise<void>;
let tokenFile: string;

beforeEach(async () => {
  [replies, asked] = [[], []];
  server = http.createServer((request, response) => {
    void answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const folder = await mkdtemp(join(tmpdir(), 'rtr-'));
  tokenFile = join(folder, 'token');
  await writeFile(tokenFile, 'first');
  const kubeconfig = join(folder, 'kubeconfig');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/prefix/`;
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: 'c', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
      users: [
        { name: 'u', user: { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } } },
      ],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  const never = new AbortController().signal;
  ({ cluster, close } = await connect({
    kubeconfig,
    context: undefined,
    userAgent: 'test',
    concurrency: 4,
    signal: never,
    stopping: never,
  }));
});
afterEach(async () => {
  await close();
  server.closeAllConnections();
  server.close();
  expect(replies).toEqual([]);
});

async function answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  const { method = '', url = '', headers } = request;
  asked.push({ method, path: url, authorization: headers.authorization ?? '', body });
  const reply = replies.shift() ?? { status: 599, body: { message: 'an unexpected request' } };
  if (reply === 'reset') {
    request.socket.destroy();
    return;
  }
  response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers });
  response.end(JSON.stringify(reply.body ?? {}));
}

const write = { namespace: 'a', name: 's', manifest: '{}', force: false, dryRun: false };
const status = (code: number, message: string, causes: readonly object[] = []): Reply => ({
  status: code,
  body: { kind: 'Status', message, details: { causes } },
});

const page = (name: string, next?: string): Reply => ({
  body: { metadata: { continue: next }, items: [{ metadata: { name, labels: { a: 'b' } } }] },
});

describe('the API server', () => {
  it('is asked again after 429, no sooner than it says, and after a fault or a lost connection', async () => {
    replies = [{ status: 429, headers: { 'retry-after': '1' } }, { status: 503 }, 'reset', {}];
    const start = performance.now();
    await cluster.applySecret(write);
    expect(performance.now() - start).toBeGreaterThan(990);
    expect(asked).toHaveLength(4);
    expect(new Set(asked.map(({ body }) => body))).toEqual(new Set(['{}']));
  });

  it('is asked below its own path, with the token of its user', async () => {
    replies = [{}];
    await cluster.applySecret({ ...write, force: true, dryRun: true });
    expect(asked).toMatchObject([
      {
        method: 'PATCH',
        path: '/prefix/api/v1/namespaces/a/secrets/s?fieldManager=registry-token-refresher&fieldValidation=Strict&force=true&dryRun=All',
        authorization: 'Bearer first',
      },
    ]);
  });

  it.each([
    [409, 'Apply failed with 1 conflict', [], 'conflict'],
    [422, 'Secret "s" is invalid: type: Invalid value: "x": field is immutable', [], 'immutable'],
    [403, 'secrets "s" is forbidden', [], 'forbidden'],
    [403, 'being terminated', [{ reason: 'NamespaceTerminating' }], 'terminating'],
    [404, 'namespaces "a" not found', [], 'missing'],
    [400, 'bad', [], 'invalid'],
  ])('is understood when it answers %i %s', async (code, message, causes, reason) => {
    replies = [status(code, message, causes)];
    await expect(cluster.applySecret(write)).rejects.toMatchObject({ reason, message });
  });

  it('is tried a second time when it does not know the token', async () => {
    replies = [status(401, 'Unauthorized'), {}];
    await cluster.applySecret(write);
    expect(asked).toHaveLength(2);
  });

  it('is unavailable when it answers nothing but errors', async () => {
    replies = Array.from({ length: 5 }, () => ({ status: 429, headers: { 'retry-after': '0' } }));
    await expect(cluster.applySecret(write)).rejects.toMatchObject({ reason: 'unavailable' });
  });
});

describe('a list', () => {
  it('is read page by page', async () => {
    replies = [page('one', 'next'), page('two')];
    const found = await cluster.listNamespaces();
    expect(found.map(({ name }) => name)).toEqual(['one', 'two']);
    expect(asked.map(({ path }) => path)).toEqual([
      '/prefix/api/v1/namespaces?limit=500',
      '/prefix/api/v1/namespaces?limit=500&continue=next',
    ]);
  });

  it('starts anew when the server has forgotten its place', async () => {
    replies = [page('one', 'next'), status(410, 'Expired'), page('one', 'next'), page('two')];
    const found = await cluster.listNamespaces();
    expect(found.map(({ name }) => name)).toEqual(['one', 'two']);
  });

  it('asks for each namespace by itself where it may not ask for all', async () => {
    const empty = { body: { items: [] } };
    replies = [empty, empty];
    await cluster.listSecrets('s', ['a', 'b']);
    expect(asked.map(({ path }) => path.replace(/\?.*/, '')).toSorted()).toEqual([
      '/prefix/api/v1/namespaces/a/secrets',
      '/prefix/api/v1/namespaces/b/secrets',
    ]);
  });
});

describe('a ServiceAccount', () => {
  it('that was changed in between is read again, and what others added is kept', async () => {
    const account = { namespace: 'a', name: 'default', resourceVersion: '1', imagePullSecrets: [] };
    replies = [
      status(409, 'the object has been modified'),
      {
        body: {
          metadata: { name: 'default', namespace: 'a', resourceVersion: '2' },
          imagePullSecrets: [{ name: 'theirs' }],
        },
      },
      {},
    ];
    await cluster.attach(account, ['ours'], { dryRun: false });
    expect(asked.map(({ method }) => method)).toEqual(['PATCH', 'GET', 'PATCH']);
    expect(JSON.parse(asked[2]?.body ?? '')).toEqual({
      metadata: { resourceVersion: '2' },
      imagePullSecrets: [{ name: 'theirs' }, { name: 'ours' }],
    });
  });
});
