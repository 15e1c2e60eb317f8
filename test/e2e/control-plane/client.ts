import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request as send } from 'undici';
import type { Dispatcher } from 'undici';
import { stringify } from 'yaml';
import { FENCE, auditLog } from './audit.ts';
import type { AuditMark, AuditedRequest } from './audit.ts';

/** What another process needs to use a running control plane; plain JSON. */
export interface Connection {
  /** The address of the API server, `https://127.0.0.1:PORT`. */
  readonly server: string;
  /** PEM file with the certificate authority of the serving certificate. */
  readonly caFile: string;
  /** The same in base64, as a kubeconfig's `certificate-authority-data` takes it. */
  readonly caData: string;
  /** A token of the user `admin`, who is in `system:masters`. */
  readonly adminToken: string;
  /** The kubectl program. */
  readonly kubectl: string;
  /** Where the control plane lives; tests may put files here that are to vanish with it. */
  readonly folder: string;
  readonly auditLog: string;
}

/** An answer of the API server. A body that is not one JSON value (a log, the events of a watch) is text. */
export interface Answer<Body> {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Body;
}

/** What a program wrote and how it ended. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A control plane as every test sees it, whichever process started it. */
export interface ControlPlaneClient extends Omit<Connection, 'kubectl'> {
  /**
   * Asks the API server as `admin` (unless `authorization` is given) over kept-alive connections.
   * Answers any status; rejects only without an answer. A PATCH is an apply unless `content-type`
   * says otherwise.
   */
  request<Body = unknown>(
    method: Dispatcher.HttpMethod,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer<Body>>;
  /** Writes a kubeconfig (of `admin` unless a token is given) and answers its path. */
  kubeconfig(options?: {
    readonly token?: string;
    readonly namespace?: string;
    readonly user?: string;
  }): Promise<string>;
  /** Issues a token of a ServiceAccount; the API server gives none for less than 600 s. */
  serviceAccountToken(
    namespace: string,
    name: string,
    options?: { readonly expirationSeconds?: number },
  ): Promise<string>;
  /** Runs kubectl as `admin` unless a kubeconfig is given; a failure is in the output's code. */
  kubectl(
    args: readonly string[],
    options?: { readonly stdin?: string; readonly kubeconfig?: string },
  ): Promise<Output>;
  createNamespaces(
    names: readonly string[],
    options?: { readonly labels?: Readonly<Record<string, string>>; readonly concurrency?: number },
  ): Promise<void>;
  /** Marks this moment in the log of requests. */
  mark(): Promise<AuditMark>;
  /** Every request answered since the mark, but for the control plane's own; of one user if named. */
  requestsSince(
    mark: AuditMark,
    filter?: { readonly user?: string },
  ): Promise<readonly AuditedRequest[]>;
  /** Closes the connections; the control plane itself goes on. */
  close(): Promise<void>;
}

/** Connects to a running control plane. */
export function connect(connection: Connection): ControlPlaneClient {
  const { server, caData, adminToken, folder } = connection;
  const agent = new Agent({
    connections: 64,
    allowH2: false,
    connect: { ca: Buffer.from(caData, 'base64').toString() },
  });
  const request: ControlPlaneClient['request'] = (method, path, body, headers) =>
    ask(agent, server + path, method, body, {
      authorization: `Bearer ${adminToken}`,
      'user-agent': 'control-plane-test',
      ...headers,
    });
  const log = auditLog(connection.auditLog, (uri) =>
    request('GET', uri, undefined, { 'user-agent': FENCE }),
  );
  const kubeconfig: ControlPlaneClient['kubeconfig'] = async (options = {}) => {
    const path = join(folder, `kubeconfig-${randomUUID()}.yaml`);
    await writeKubeconfig(path, { server, caData, token: adminToken, user: 'admin', ...options });
    return path;
  };
  let adminKubeconfig: Promise<string> | undefined;
  return {
    ...connection,
    request,
    kubeconfig,
    serviceAccountToken: (namespace, name, options) =>
      issueToken(request, namespace, name, options?.expirationSeconds ?? 3600),
    async kubectl(args, options = {}) {
      adminKubeconfig ??= kubeconfig();
      const path = options.kubeconfig ?? (await adminKubeconfig);
      return runKubectl(connection, args, path, options.stdin ?? '');
    },
    createNamespaces: (names, options = {}) =>
      createNamespaces(request, names, options.labels ?? {}, options.concurrency ?? 32),
    mark: () => log.mark(),
    async requestsSince(mark, filter = {}) {
      const requests = await log.since(mark);
      return requests.filter(({ user }) => filter.user === undefined || user === filter.user);
    },
    close: () => agent.destroy(),
  };
}

/** Writes a kubeconfig of one user, which only this user of the machine may read. */
export async function writeKubeconfig(
  path: string,
  access: Pick<Connection, 'server' | 'caData'> & {
    readonly token: string;
    readonly user?: string;
    readonly namespace?: string;
  },
): Promise<void> {
  const { server, caData, token, user = 'user', namespace = 'default' } = access;
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': caData } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user, namespace } }],
    'current-context': 'test',
  };
  await writeFile(path, stringify(kubeconfig), { mode: 0o600 });
}

async function ask<Body>(
  dispatcher: Dispatcher,
  url: string,
  method: Dispatcher.HttpMethod,
  body: unknown,
  headers: Readonly<Record<string, string>>,
): Promise<Answer<Body>> {
  const answer = await send(url, {
    dispatcher,
    method,
    headers: {
      ...(body !== undefined && {
        'content-type': method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json',
      }),
      ...headers,
    },
    body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await answer.body.text();
  return { status: answer.statusCode, headers: answer.headers, body: parseJson(text) as Body };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function issueToken(
  request: ControlPlaneClient['request'],
  namespace: string,
  name: string,
  expirationSeconds: number,
): Promise<string> {
  const { status, body } = await request<{ status: { token: string }; message?: string }>(
    'POST',
    `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
    {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds },
    },
  );
  if (status !== 201) {
    throw new Error(
      `failed to issue token for '${namespace}/${name}' (${status}): ${body.message}`,
    );
  }
  return body.status.token;
}

async function createNamespaces(
  request: ControlPlaneClient['request'],
  names: readonly string[],
  labels: Readonly<Record<string, string>>,
  concurrency: number,
): Promise<void> {
  const remaining = names.values();
  const work = async () => {
    // The iterator is shared: each worker takes what no other has taken.
    for (const name of remaining) await createNamespace(request, name, labels);
  };
  await Promise.all(Array.from({ length: concurrency }, work));
}

async function createNamespace(
  request: ControlPlaneClient['request'],
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  for (;;) {
    const { status, headers, body } = await request<{ message?: string }>(
      'POST',
      '/api/v1/namespaces',
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } },
    );
    if (status === 201) return;
    if (status !== 429) {
      throw new Error(`failed to create namespace '${name}' (${status}): ${body.message}`);
    }
    await sleep(Number(headers['retry-after'] ?? 1) * 1000);
  }
}

async function runKubectl(
  { kubectl, folder }: Connection,
  args: readonly string[],
  kubeconfig: string,
  stdin: string,
): Promise<Output> {
  const child = spawn(kubectl, args, {
    // Nothing of the caller's environment: no ~/.kube, no proxy.
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      KUBECACHEDIR: join(folder, 'kubectl-cache'),
      KUBECONFIG: kubeconfig,
    },
  });
  // A kubectl that does not read its input may end before all of it is written.
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  const [stdout, stderr] = await Promise.all([
    readText(child.stdout),
    readText(child.stderr),
    once(child, 'close'),
  ]);
  return { code: child.exitCode ?? -1, stdout, stderr };
}
