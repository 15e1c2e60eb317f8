import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import type { Answer, Internet } from './internet.ts';

/** The path at which a metadata server hands out access tokens. */
const TOKEN_PATH = '/computeMetadata/v1/instance/service-accounts/default/token';

/** Expects a request for the workload's token at the metadata server. */
export function expectMetadataToken(internet: Internet, respond: () => Answer, times = 1): void {
  internet.expect(
    '',
    'GET',
    TOKEN_PATH,
    ({ headers }) => {
      assert.equal(headers['metadata-flavor'], 'Google');
      return respond();
    },
    times,
  );
}

/** An access token on the wire; `lifetime` in seconds. */
export function googleToken(token: string, lifetime = 3_599): Answer {
  return {
    headers: { 'metadata-flavor': 'Google' },
    body: { access_token: token, expires_in: lifetime, token_type: 'Bearer' },
  };
}

/** Expects a key's signed assertion at Google's token endpoint and checks the signature. */
export function expectJwtGrant(
  internet: Internet,
  issuer: string,
  publicKey: string,
  respond: () => Answer,
  times = 1,
): void {
  internet.expect(
    'oauth2.googleapis.com',
    'POST',
    '/token',
    ({ body }) => {
      const form = new URLSearchParams(body);
      assert.equal(form.get('grant_type'), 'urn:ietf:params:oauth:grant-type:jwt-bearer');
      const [header = '', payload = '', signature = ''] = (form.get('assertion') ?? '').split('.');
      const signed = Buffer.from(`${header}.${payload}`);
      const key = createPublicKey(publicKey);
      assert.ok(verify('RSA-SHA256', signed, key, Buffer.from(signature, 'base64url')));
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
      assert.partialDeepStrictEqual(claims, {
        iss: issuer,
        scope: 'https://www.googleapis.com/auth/cloud-platform',
        aud: 'https://oauth2.googleapis.com/token',
      });
      return respond();
    },
    times,
  );
}

/** Expects a federation exchange of a subject token at Google's STS. */
export function expectFederation(
  internet: Internet,
  expected: { readonly audience: string; readonly subjectToken: string },
  respond: () => Answer,
): void {
  internet.expect('sts.googleapis.com', 'POST', '/v1/token', ({ body }) => {
    const form = Object.fromEntries(new URLSearchParams(body));
    assert.partialDeepStrictEqual(form, {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: expected.audience,
      subject_token: expected.subjectToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      scope: 'https://www.googleapis.com/auth/cloud-platform',
    });
    return respond();
  });
}

/** Expects the impersonation of a service account with a source token. */
export function expectImpersonation(
  internet: Internet,
  expected: { readonly serviceAccount: string; readonly source: string; readonly lifetime: number },
  respond: () => Answer,
): void {
  const path = `/v1/projects/-/serviceAccounts/${expected.serviceAccount}:generateAccessToken`;
  internet.expect('iamcredentials.googleapis.com', 'POST', path, ({ headers, body }) => {
    assert.equal(headers.authorization, `Bearer ${expected.source}`);
    assert.deepEqual(JSON.parse(body), {
      scope: ['https://www.googleapis.com/auth/cloud-platform'],
      lifetime: `${expected.lifetime}s`,
    });
    return respond();
  });
}
