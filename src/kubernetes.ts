import { KubeConfig } from '@kubernetes/client-node';
import { Agent, ProxyAgent, interceptors, request } from 'undici';
import type { Dispatcher } from 'undici';
import { ClusterError } from './cluster.ts';
import type { ClusterErrorReason } from './cluster.ts';

/** Where the cluster is and who asks. */
export interface ConnectOptions {
  /** A kubeconfig file; else `KUBECONFIG`, `~/.kube/config`, or the Pod's ServiceAccount. */
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly userAgent: string;
  /** Connections kept open at the most. */
  readonly connections: number;
  /** Aborts every request. */
  readonly signal: AbortSignal;
}

/** One request to the API server. */
export interface ApiRequest {
  readonly method: 'GET' | 'PATCH';
  /** Path and query, below the server's own path. */
  readonly path: string;
  readonly accept: string;
  readonly contentType?: string;
  readonly body?: string;
}

/** How long a connection, an answer's start and each part of it may take, in milliseconds. */
const TIMES = { connect: 10_000, headers: 60_000, body: 60_000 };

/** How long an Authorization header is used before it is asked for again: tokens rotate on disk. */
const AUTHORIZATION_MS = 30_000;

/**
 * One pooled connection to an API server. The kubeconfig, its certificates and its users (token
 * files, exec plugins, OIDC) are `@kubernetes/client-node`'s; the transport is undici's, because
 * client-node's own opens a connection for each request (measured: 45 s instead of 10 s for
 * 10,000 writes). HTTP/1.1 only: a graceful GOAWAY lost requests under HTTP/2.
 */
export class ApiServer {
  readonly #config: KubeConfig;
  readonly #base: string;
  readonly #dispatcher: Dispatcher;
  readonly #options: ConnectOptions;
  #headers: { readonly value: Record<string, string>; readonly until: number } | undefined;

  private constructor(config: KubeConfig, dispatcher: Dispatcher, options: ConnectOptions) {
    this.#config = config;
    this.#base = (config.getCurrentCluster()?.server ?? '').replace(/\/$/, '');
    this.#dispatcher = dispatcher;
    this.#options = options;
  }

  /** @throws ClusterError if the kubeconfig cannot be used */
  static async connect(options: ConnectOptions): Promise<ApiServer> {
    const config = loadKubeConfig(options);
    const tls = await clusterTls(config);
    const agentOptions = {
      connections: options.connections,
      allowH2: false,
      headersTimeout: TIMES.headers,
      bodyTimeout: TIMES.body,
    };
    const proxy = config.getCurrentCluster()?.proxyUrl;
    const agent = proxy
      ? new ProxyAgent({
          ...agentOptions,
          uri: proxy,
          requestTls: { ...tls, timeout: TIMES.connect },
        })
      : new Agent({ ...agentOptions, connect: { ...tls, timeout: TIMES.connect } });
    const retry = interceptors.retry({
      throwOnError: false,
      maxRetries: 4,
      minTimeout: 250,
      maxTimeout: 30_000,
      // Each of our writes says what should be, so it may be said twice.
      methods: ['GET', 'PATCH'],
      errorCodes: [
        'ECONNRESET',
        'ECONNREFUSED',
        'EHOSTUNREACH',
        'ENETUNREACH',
        'EPIPE',
        'UND_ERR_SOCKET',
        'UND_ERR_CONNECT_TIMEOUT',
      ],
    });
    return new ApiServer(config, agent.compose(retry), options);
  }

  /** The server's URL, for errors and the log. */
  get server(): string {
    return this.#base;
  }

  /** Sends a request and answers the parsed body. @throws ClusterError */
  async send<Body>(apiRequest: ApiRequest): Promise<Body> {
    const first = await this.#attempt(apiRequest);
    // A token may have been rotated since it was read.
    const answer = first.status === 401 ? await this.#attempt(apiRequest, true) : first;
    const body = parseBody(answer.text);
    if (answer.status >= 300) throw clusterError(answer.status, body, apiRequest);
    if (body === undefined) {
      throw new ClusterError('unavailable', `${this.#base} answered something that is not JSON`);
    }
    return body as Body;
  }

  async close(): Promise<void> {
    await this.#dispatcher.close();
  }

  async #attempt(
    { method, path, accept, contentType, body }: ApiRequest,
    renewAuthorization = false,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const headers = {
      ...(await this.#authorization(renewAuthorization)),
      accept,
      'user-agent': this.#options.userAgent,
      ...(contentType && { 'content-type': contentType }),
    };
    try {
      const answer = await request(`${this.#base}${path}`, {
        dispatcher: this.#dispatcher,
        method,
        headers,
        signal: this.#options.signal,
        ...(body !== undefined && { body }),
      });
      return { status: answer.statusCode, text: await answer.body.text() };
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      throw new ClusterError('unavailable', `no answer from ${this.#base} (${code ?? message})`, {
        cause,
      });
    }
  }

  async #authorization(renew: boolean): Promise<Record<string, string>> {
    if (this.#headers && !renew && this.#headers.until > Date.now()) return this.#headers.value;
    const options: { headers?: Record<string, string>; auth?: string } = {};
    try {
      await this.#config.applyToHTTPSOptions(options);
    } catch (cause) {
      throw new ClusterError(
        'unauthorized',
        `the kubeconfig's user could not log in (${firstLine(cause)})`,
        { cause },
      );
    }
    const basic = options.auth && `Basic ${Buffer.from(options.auth).toString('base64')}`;
    const value = { ...options.headers, ...(basic && { authorization: basic }) };
    this.#headers = { value, until: Date.now() + AUTHORIZATION_MS };
    return value;
  }
}

function loadKubeConfig({ kubeconfig, context }: ConnectOptions): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig) config.loadFromFile(kubeconfig);
    else config.loadFromDefault();
    if (context) config.setCurrentContext(context);
  } catch (cause) {
    throw new ClusterError('unavailable', `the kubeconfig cannot be read (${firstLine(cause)})`, {
      cause,
    });
  }
  if (!config.getCurrentCluster()) {
    throw new ClusterError(
      'unavailable',
      context
        ? `the kubeconfig has no context ${context} with a cluster`
        : 'no cluster: set KUBECONFIG, pass --kubeconfig, or run in a Pod',
    );
  }
  return config;
}

async function clusterTls(config: KubeConfig): Promise<Record<string, unknown>> {
  try {
    return await tlsOptions(config);
  } catch (cause) {
    throw new ClusterError('unavailable', `the kubeconfig cannot be used (${firstLine(cause)})`, {
      cause,
    });
  }
}

async function tlsOptions(config: KubeConfig): Promise<Record<string, unknown>> {
  const options: Record<string, unknown> = {};
  await config.applyToHTTPSOptions(options);
  const keys = ['ca', 'cert', 'key', 'pfx', 'passphrase', 'rejectUnauthorized', 'servername'];
  return Object.fromEntries(
    keys.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]])),
  );
}

/** The fields of a `Status` that are read. */
interface ApiStatus {
  readonly message?: string;
  readonly reason?: string;
  readonly details?: {
    readonly causes?: readonly {
      readonly reason?: string;
      readonly field?: string;
      readonly message?: string;
    }[];
  };
}

// A Status never holds secret data, but only its own sentences are passed on.
function clusterError(status: number, body: unknown, { method, path }: ApiRequest): ClusterError {
  const { message, reason, details } = (body ?? {}) as ApiStatus;
  const causes = details?.causes ?? [];
  const text = (message ?? `${method} ${path.replace(/\?.*/, '')} was answered ${status}`).split(
    '\n',
  )[0] as string;
  return new ClusterError(reasonOf(status, reason, causes, text), text);
}

function reasonOf(
  status: number,
  reason: string | undefined,
  causes: readonly { readonly reason?: string }[],
  text: string,
): ClusterErrorReason {
  if (causes.some((cause) => cause.reason === 'NamespaceTerminating')) return 'terminating';
  if (status === 409) return 'conflict';
  if (status === 422 && /immutable/.test(text)) return 'immutable';
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'missing';
  if (status === 410 || reason === 'Expired') return 'invalid';
  return status === 429 || status >= 500 ? 'unavailable' : 'invalid';
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
