import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';
import { generate } from 'selfsigned';

/** One request as a fake host received it, read to its end. */
export interface ReceivedRequest {
  readonly host: string;
  readonly method: string;
  /** Path with its query. */
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** What a fake host says; `hang` never answers, `reset` drops the connection. */
export type Answer =
  | {
      readonly status?: number;
      readonly headers?: Record<string, string>;
      readonly body?: string | Record<string, unknown> | readonly unknown[];
    }
  | 'hang'
  | 'reset';

/**
 * Checks one expected request (throw, or use `node:assert`) and answers it. A thrown error fails
 * the test in `verify` and answers 500.
 */
export type Responder = (request: ReceivedRequest) => Answer | Promise<Answer>;

interface Expectation {
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly respond: Responder;
  remaining: number;
}

/**
 * The part of the Internet that a test allows: a proxy on loopback which hands each CONNECT for a
 * known host to a TLS server with that host's certificate. Programs under test reach it through
 * `HTTPS_PROXY`, keep the real host names, and send nothing anywhere else. Each expected request
 * must arrive as often as declared, and no other.
 */
export class Internet {
  readonly #expectations: Expectation[] = [];
  readonly #failures: string[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #proxy = http.createServer();
  readonly #plain = http.createServer((request, response) => {
    void this.#serve('', request, response);
  });
  readonly #secure: https.Server;
  readonly requests: ReceivedRequest[] = [];
  /** The certificate authority that vouches for every host here, PEM. */
  readonly ca: string;

  private constructor(ca: string, secure: https.Server) {
    this.ca = ca;
    this.#secure = secure;
    secure.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#serve(String((request.socket as tls.TLSSocket).servername), request, response);
    });
    this.#proxy.on('connect', (request, client: Socket) =>
      this.#connect(request.url ?? '', client),
    );
    this.#proxy.on('request', (request, response) => {
      this.#failures.push(`the proxy was asked for ${request.url} without CONNECT`);
      response.writeHead(502).end();
    });
    for (const server of [this.#proxy, this.#plain]) {
      server.on('connection', (socket) => this.#keep(socket));
    }
  }

  /** @param hosts every host name that may be asked for, wildcards as in certificates */
  static async start(hosts: readonly string[]): Promise<Internet> {
    const certificate = await generate([{ name: 'commonName', value: 'loopback internet' }], {
      keyType: 'ec',
      curve: 'P-256',
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, digitalSignature: true, critical: true },
        {
          name: 'subjectAltName',
          altNames: [
            ...[...hosts, 'localhost'].map((value) => ({ type: 2 as const, value })),
            { type: 7 as const, ip: '127.0.0.1' },
          ],
        },
      ],
    });
    const secure = https.createServer({ key: certificate.private, cert: certificate.cert });
    const internet = new Internet(certificate.cert, secure);
    for (const server of [internet.#proxy, internet.#plain, internet.#secure]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    return internet;
  }

  /** The environment under which a program reaches these hosts and no others. */
  get env(): { readonly HTTPS_PROXY: string; readonly NO_PROXY: string } {
    return {
      HTTPS_PROXY: `http://127.0.0.1:${portOf(this.#proxy)}`,
      NO_PROXY: '127.0.0.1,localhost',
    };
  }

  /** `127.0.0.1:PORT` of a plain-http server whose requests are expected under the host `''`. */
  get plainAddress(): string {
    return `127.0.0.1:${portOf(this.#plain)}`;
  }

  /** Makes this process trust the hosts' certificates. */
  trust(): void {
    tls.setDefaultCACertificates([...tls.getCACertificates('default'), this.ca]);
  }

  /** Writes the CA for `NODE_EXTRA_CA_CERTS` of another process. */
  async writeCa(path: string): Promise<void> {
    await writeFile(path, this.ca);
  }

  /**
   * Expects a request `times` times. `path` is compared without its query.
   * Expectations for the same host, method and path are used in the order they were declared.
   */
  expect(host: string, method: string, path: string, respond: Responder, times = 1): this {
    this.#expectations.push({ host, method, path, respond, remaining: times });
    return this;
  }

  /** Fails on any request that was unexpected, wrong or missing since the last call; starts anew. */
  verify(): void {
    const missing = this.#expectations
      .filter(({ remaining }) => remaining > 0)
      .map((e) => `never asked: ${e.method} ${e.host}${e.path} (${e.remaining} more)`);
    const failures = [...this.#failures, ...missing];
    this.#expectations.length = 0;
    this.#failures.length = 0;
    this.requests.length = 0;
    if (failures.length > 0) throw new Error(failures.join('\n'));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of [this.#proxy, this.#plain, this.#secure]) {
      server.close();
      await once(server, 'close');
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #connect(authority: string, client: Socket): void {
    const host = authority.replace(/:443$/, '');
    if (!this.#expectations.some((expectation) => expectation.host === host)) {
      this.#failures.push(`unexpected host ${authority}`);
      client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      return;
    }
    client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    this.#keep(client);
    this.#secure.emit('connection', client);
  }

  async #serve(host: string, message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await receive(host, message);
    this.requests.push(request);
    const answer = await this.#answer(request);
    if (answer === 'hang') return;
    if (answer === 'reset') {
      message.socket.destroy();
      return;
    }
    const { status = 200, headers = {}, body = '' } = answer;
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const type = typeof body === 'string' ? 'text/plain' : 'application/json';
    response.writeHead(status, { 'content-type': type, ...headers }).end(text);
  }

  async #answer(request: ReceivedRequest): Promise<Answer> {
    const { host, method } = request;
    const path = request.path.replace(/\?.*$/, '');
    const expectation = this.#expectations.find(
      (e) => e.remaining > 0 && e.host === host && e.method === method && e.path === path,
    );
    if (expectation === undefined) {
      this.#failures.push(`unexpected request ${method} ${host}${request.path}`);
      return { status: 599, body: 'unexpected request' };
    }
    expectation.remaining -= 1;
    try {
      return await expectation.respond(request);
    } catch (error) {
      this.#failures.push(`${method} ${host}${path}: ${(error as Error).message}`);
      return { status: 500, body: 'the request was wrong' };
    }
  }
}

function portOf(server: http.Server): number {
  return (server.address() as AddressInfo).port;
}

async function receive(host: string, message: IncomingMessage): Promise<ReceivedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return {
    host,
    method: message.method ?? '',
    path: message.url ?? '',
    headers: message.headers,
    body: Buffer.concat(chunks).toString('utf8'),
  };
}
