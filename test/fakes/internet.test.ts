import https from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Internet } from './internet.ts';

let internet: Internet;
let agent: https.Agent;

beforeAll(async () => {
  internet = await Internet.start(['*.azurecr.io', 'login.example']);
  internet.trust();
  agent = new https.Agent({ keepAlive: true, proxyEnv: internet.env });
});
afterAll(() => internet.close());

function get(url: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    https
      .get(url, { agent }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      })
      .on('error', reject);
  });
}

describe('the loopback internet', () => {
  it('answers a real host name over verified TLS through the proxy', async () => {
    internet.expect('one.azurecr.io', 'GET', '/v2/', () => ({ body: { hello: 'world' } }));
    await expect(get('https://one.azurecr.io/v2/?x=1')).resolves.toEqual({
      status: 200,
      body: '{"hello":"world"}',
    });
    expect(internet.requests[0]?.path).toBe('/v2/?x=1');
    internet.verify();
  });

  it('fails on an unexpected host, an unexpected request and an unused expectation', async () => {
    internet.expect('one.azurecr.io', 'GET', '/once', () => ({}));
    await expect(get('https://other.azurecr.io/')).rejects.toThrow();
    await get('https://one.azurecr.io/twice');
    expect(() => internet.verify()).toThrow(
      /unexpected host other.*\nunexpected request GET one.azurecr.io\/twice\nnever asked: GET one.azurecr.io\/once/,
    );
    internet.verify();
  });
});
