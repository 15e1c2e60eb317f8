import assert from 'node:assert/strict';
import type { Answer, Internet, ReceivedRequest } from './internet.ts';

/** The tenant and client that the fakes know. */
export const TENANT = '11111111-2222-3333-4444-555555555555';
export const CLIENT = '66666666-7777-8888-9999-000000000000';

/** What a token request to Entra ID must hold. */
export interface EntraRequest {
  readonly host?: string;
  readonly scope?: string;
  /** Fields of the form that must have these values. */
  readonly form?: Readonly<Record<string, string>>;
}

/** Expects one client-credentials request to Entra ID and answers with `accessToken`. */
export function expectEntraToken(
  internet: Internet,
  accessToken: string,
  expected: EntraRequest = {},
): void {
  expectEntra(internet, expected, () => ({
    body: {
      token_type: 'Bearer',
      expires_in: 3600,
      ext_expires_in: 3600,
      access_token: accessToken,
    },
  }));
}

/** Expects one client-credentials request to Entra ID and answers whatever the test wants. */
export function expectEntra(
  internet: Internet,
  { host = 'login.microsoftonline.com', scope, form = {} }: EntraRequest,
  respond: () => Answer,
  times = 1,
): void {
  const check = ({ body }: ReceivedRequest): Answer => {
    const sent = new URLSearchParams(body);
    assert.equal(sent.get('grant_type'), 'client_credentials');
    assert.equal(sent.get('client_id'), CLIENT);
    assert.equal(
      (sent.get('scope') ?? '').split(' ')[0],
      scope ?? 'https://containerregistry.azure.net/.default',
    );
    for (const [key, value] of Object.entries(form)) assert.equal(sent.get(key), value);
    return respond();
  };
  internet.expect(host, 'POST', `/${TENANT}/oauth2/v2.0/token`, check, times);
}

/** Expects the look-up of a sovereign cloud's endpoints, which the SDK knows only for the public one. */
export function expectDiscovery(internet: Internet, host: string): void {
  const base = `https://${host}/${TENANT}`;
  internet.expect(host, 'GET', `/${TENANT}/v2.0/.well-known/openid-configuration`, () => ({
    body: {
      issuer: `${base}/v2.0`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      token_endpoint: `${base}/oauth2/v2.0/token`,
      jwks_uri: `${base}/discovery/v2.0/keys`,
      end_session_endpoint: `${base}/oauth2/v2.0/logout`,
    },
  }));
}

/** Expects one exchange at a registry with this Entra token, and answers whatever the test wants. */
export function expectExchange(
  internet: Internet,
  registry: string,
  accessToken: string,
  respond: () => Answer,
  times = 1,
): void {
  const check = ({ body, headers }: ReceivedRequest): Answer => {
    assert.match(String(headers['content-type']), /^application\/x-www-form-urlencoded/);
    assert.deepEqual(Object.fromEntries(new URLSearchParams(body)), {
      grant_type: 'access_token',
      service: registry,
      access_token: accessToken,
    });
    return respond();
  };
  internet.expect(registry, 'POST', '/oauth2/exchange', check, times);
}

/** A refresh token as ACR issues one: a JWT that says for whom and until when. */
export function refreshToken(
  registry: string,
  options: { readonly lifetime?: number; readonly canary?: string } = {},
): string {
  const exp = Math.floor(Date.now() / 1000) + (options.lifetime ?? 10_800);
  return [
    jwtPart({ alg: 'RS256', typ: 'JWT' }),
    jwtPart({ aud: registry, iss: 'Azure Container Registry', exp, jti: options.canary ?? 'x' }),
    'c2lnbmF0dXJl',
  ].join('.');
}

function jwtPart(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
