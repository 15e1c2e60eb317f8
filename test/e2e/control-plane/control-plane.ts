import { generateKeyPair, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AUDIT_POLICY } from './audit.ts';
import { ensureBinaries } from './binaries.ts';
import { connect, writeKubeconfig } from './client.ts';
import type { Connection, ControlPlaneClient } from './client.ts';
import { startComponent } from './component.ts';
import type { Component } from './component.ts';
import { startGuard } from './guard.ts';
import { freePorts } from './ports.ts';

/** How long a component may take to end by itself, in milliseconds. */
const GRACE_MS = 3000;

/** What a test may change of a control plane. */
export interface ControlPlaneOptions {
  readonly maxRequestsInflight?: number;
  readonly maxMutatingRequestsInflight?: number;
  /** Flags which come last, so that they win. */
  readonly apiServerArgs?: readonly string[];
  readonly controllerManagerArgs?: readonly string[];
}

/** A control plane that this process started. */
export interface ControlPlane extends ControlPlaneClient {
  /** What `connect` needs in another process. */
  readonly connection: Connection;
  /** The processes by name, for measurements. */
  readonly pids: () => Readonly<Record<string, number>>;
  /** Kills the API server at once, as a crash would. */
  killApiServer(): Promise<void>;
  /** Starts the API server again at the same address, and waits until it is ready. */
  startApiServer(): Promise<void>;
  /** Stops etcd in its tracks (SIGSTOP): the API server answers nothing that needs it. */
  pauseEtcd(): Promise<void>;
  resumeEtcd(): void;
  /** Ends all processes and removes the folder. */
  stop(): Promise<void>;
}

/**
 * Starts etcd, an API server with RBAC and audit, and the controllers, in a new temporary folder.
 * Should this process die before `stop`, they die with it.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const binaries = await ensureBinaries([
    'etcd',
    'kube-apiserver',
    'kube-controller-manager',
    'kubectl',
  ]);
  const folder = await mkdtemp(join(tmpdir(), 'control-plane-'));
  const guard = startGuard(folder);
  const running = new Map<string, Component>();

  async function start(name: keyof typeof binaries, args: readonly string[]): Promise<Component> {
    const component = await startComponent(name, binaries[name], args, folder);
    running.set(name, component);
    guard.protect([...running.values()].filter((each) => each.running).map(({ pid }) => pid));
    return component;
  }

  async function stop(): Promise<void> {
    // etcd last: an API server without it would wait out the grace.
    const { etcd, ...others } = Object.fromEntries(running);
    etcd?.signal('SIGCONT');
    await Promise.all(Object.values(others).map((component) => component.stop(GRACE_MS)));
    await etcd?.stop(GRACE_MS);
    guard.release();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }

  try {
    const [etcdPort = 0, peerPort = 0, securePort = 0] = await freePorts(3);
    const files = await writeFiles(folder);
    const server = `https://127.0.0.1:${securePort}`;
    const etcd = await start('etcd', etcdArgs(folder, etcdPort, peerPort));
    const etcdHealth = `http://127.0.0.1:${etcdPort}/readyz`;
    await etcd.ready(() => isHealthy(etcdHealth));

    const apiServerFlags = apiServerArgs(files, securePort, etcdPort, options);
    const apiServer = await start('kube-apiserver', apiServerFlags);
    const connection = {
      server,
      caFile: files.certificate,
      caData: await readCertificate(apiServer, files.certificate),
      adminToken: files.adminToken,
      kubectl: binaries.kubectl,
      folder,
      auditLog: files.auditLog,
    };
    const client = connect(connection);
    await apiServer.ready(async () => (await client.request('GET', '/readyz')).status === 200);

    await writeKubeconfig(files.controllerKubeconfig, {
      ...connection,
      token: files.controllerToken,
    });
    const controllers = await start('kube-controller-manager', controllerArgs(files, options));
    const account = '/api/v1/namespaces/default/serviceaccounts/default';
    await controllers.ready(async () => (await client.request('GET', account)).status === 200);

    return {
      ...client,
      connection,
      pids: () => Object.fromEntries([...running].map(([name, { pid }]) => [name, pid])),
      killApiServer: async () => running.get('kube-apiserver')?.kill(),
      async startApiServer() {
        const again = await start('kube-apiserver', apiServerFlags);
        await again.ready(async () => (await client.request('GET', '/readyz')).status === 200);
      },
      async pauseEtcd() {
        etcd.signal('SIGSTOP');
        // On a busy machine a thread of it may still answer after the signal was sent.
        while (await isHealthy(etcdHealth).catch(() => false));
      },
      resumeEtcd: () => etcd.signal('SIGCONT'),
      async stop() {
        await client.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The files that the components are started with. */
interface Files {
  readonly folder: string;
  readonly serviceAccountKey: string;
  readonly tokens: string;
  readonly adminToken: string;
  readonly controllerToken: string;
  readonly controllerKubeconfig: string;
  readonly auditPolicy: string;
  readonly auditLog: string;
  /** Made by the API server: its serving certificate, and the authority that it made for it. */
  readonly certificate: string;
}

async function writeFiles(folder: string): Promise<Files> {
  const files: Files = {
    folder,
    serviceAccountKey: join(folder, 'service-account.key'),
    tokens: join(folder, 'tokens.csv'),
    adminToken: randomBytes(24).toString('hex'),
    controllerToken: randomBytes(24).toString('hex'),
    controllerKubeconfig: join(folder, 'kube-controller-manager.yaml'),
    auditPolicy: join(folder, 'audit-policy.yaml'),
    auditLog: join(folder, 'audit.log'),
    certificate: join(folder, 'certificates', 'apiserver.crt'),
  };
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  const secret = { mode: 0o600 };
  await Promise.all([
    writeFile(files.serviceAccountKey, privateKey.export({ type: 'pkcs1', format: 'pem' }), secret),
    writeFile(
      files.tokens,
      `${files.adminToken},admin,admin,system:masters\n` +
        `${files.controllerToken},system:kube-controller-manager,controllers\n`,
      secret,
    ),
    writeFile(files.auditPolicy, AUDIT_POLICY),
    writeFile(files.auditLog, '', secret),
  ]);
  return files;
}

function etcdArgs(folder: string, port: number, peerPort: number): readonly string[] {
  return [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=http://127.0.0.1:${port}`,
    `--advertise-client-urls=http://127.0.0.1:${port}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
    // The data need not outlive the machine.
    '--unsafe-no-fsync',
  ];
}

function apiServerArgs(
  files: Files,
  port: number,
  etcdPort: number,
  options: ControlPlaneOptions,
): readonly string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    // Without these it looks for a default route, and logs that nobody can reach a loopback address.
    '--advertise-address=127.0.0.1',
    '--endpoint-reconciler-type=none',
    `--cert-dir=${join(files.folder, 'certificates')}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${files.serviceAccountKey}`,
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    `--token-auth-file=${files.tokens}`,
    '--allow-privileged',
    `--audit-policy-file=${files.auditPolicy}`,
    `--audit-log-path=${files.auditLog}`,
    // Marks are offsets in the one file.
    '--audit-log-maxsize=0',
    `--max-requests-inflight=${options.maxRequestsInflight ?? 800}`,
    `--max-mutating-requests-inflight=${options.maxMutatingRequestsInflight ?? 400}`,
    ...(options.apiServerArgs ?? []),
  ];
}

function controllerArgs(files: Files, options: ControlPlaneOptions): readonly string[] {
  return [
    `--kubeconfig=${files.controllerKubeconfig}`,
    `--service-account-private-key-file=${files.serviceAccountKey}`,
    `--root-ca-file=${files.certificate}`,
    '--use-service-account-credentials',
    '--leader-elect=false',
    '--secure-port=0',
    // The default of 20 requests a second would give 10,000 namespaces their ServiceAccount in 8 minutes.
    '--kube-api-qps=1000',
    '--kube-api-burst=2000',
    ...(options.controllerManagerArgs ?? []),
  ];
}

/** Reads the certificate that the API server makes for itself; its key follows it, then it serves. */
async function readCertificate(apiServer: Component, path: string): Promise<string> {
  let certificate = Buffer.alloc(0);
  await apiServer.ready(async () => {
    certificate = await readFile(path);
    return certificate.toString().trimEnd().endsWith('-----END CERTIFICATE-----');
  });
  return certificate.toString('base64');
}

async function isHealthy(url: string): Promise<boolean> {
  return (await fetch(url, { signal: AbortSignal.timeout(250) })).ok;
}
