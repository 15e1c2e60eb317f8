import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';

interface Stored {
  readonly metadata: Record<string, unknown> & {
    readonly name: string;
    readonly namespace?: string;
  };
  readonly [field: string]: unknown;
}

/**
 * As much of a Kubernetes API as the demo's run uses: lists, and server-side apply of Secrets.
 * It is a stand-in for looking at; the tests use a real API server.
 */
export class DemoKubernetes {
  readonly secrets = new Map<string, Stored>();
  writes = 0;
  readonly #namespaces: readonly string[];
  readonly #server = http.createServer((request, response) => {
    void this.#serve(request, response);
  });

  constructor(namespaces: readonly string[]) {
    this.#namespaces = namespaces;
  }

  /** Starts on a free port of loopback and answers the URL. */
  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const [status, answer] = this.#answer(request.method ?? 'GET', url, body);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  #answer(method: string, url: URL, body: string): readonly [number, unknown] {
    if (method === 'GET' && url.pathname === '/api/v1/namespaces') {
      return [200, { items: this.#namespaces.map((name) => ({ metadata: { name } })) }];
    }
    if (method === 'GET' && url.pathname === '/api/v1/secrets') {
      const items = [...this.secrets.values()].map(({ metadata }) => ({ metadata }));
      return [200, { items }];
    }
    const [, namespace = '', name = ''] =
      /^\/api\/v1\/namespaces\/([^/]+)\/secrets\/([^/]+)$/.exec(url.pathname) ?? [];
    const key = `${namespace}/${name}`;
    if (method === 'GET' && this.secrets.has(key)) return [200, this.secrets.get(key)];
    if (method === 'PATCH' && name) return [200, this.#apply(key, namespace, url, body)];
    return [404, { message: `the demo has no ${method} ${url.pathname}` }];
  }

  #apply(key: string, namespace: string, url: URL, body: string): unknown {
    const applied = JSON.parse(body) as Stored;
    const manager = url.searchParams.get('fieldManager');
    const fieldsV1 = { 'f:data': { 'f:.dockerconfigjson': {} } };
    const metadata = { ...applied.metadata, namespace, managedFields: [{ manager, fieldsV1 }] };
    if (url.searchParams.get('dryRun') !== 'All') {
      this.writes += 1;
      this.secrets.set(key, { ...applied, metadata });
    }
    return { metadata };
  }
}
