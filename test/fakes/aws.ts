import assert from 'node:assert/strict';
import type { Answer, Internet, ReceivedRequest } from './internet.ts';

/** How the fake ECR answers one `GetAuthorizationToken`. */
export interface EcrAnswer {
  readonly region: string;
  readonly password: string;
  /** Seconds from now; ECR's own is 12 hours. */
  readonly lifetime?: number;
  /** The region that the answer names, where it is not the one that was asked. */
  readonly proxyRegion?: string;
}

/** The API host of ECR in a region. */
export function ecrHost(region: string): string {
  return `api.ecr.${region}.amazonaws.com`;
}

/** Expects one signed `GetAuthorizationToken` and answers it as ECR does. */
export function expectEcrToken(internet: Internet, answer: EcrAnswer, times = 1): void {
  expectEcr(internet, answer.region, () => ecrToken(answer), times);
}

/** Expects one signed `GetAuthorizationToken` and answers whatever the test wants. */
export function expectEcr(
  internet: Internet,
  region: string,
  respond: (request: ReceivedRequest) => Answer,
  times = 1,
): void {
  const check = (request: ReceivedRequest): Answer => {
    checkRequest(request, region);
    return respond(request);
  };
  internet.expect(ecrHost(region), 'POST', '/', check, times);
}

/** The wire form of an authorization token. */
export function ecrToken({ region, password, lifetime = 43_200, proxyRegion }: EcrAnswer): Answer {
  return {
    headers: { 'content-type': 'application/x-amz-json-1.1' },
    body: {
      authorizationData: [
        {
          authorizationToken: Buffer.from(`AWS:${password}`).toString('base64'),
          expiresAt: Math.floor(Date.now() / 1000) + lifetime,
          proxyEndpoint: `https://123456789012.dkr.ecr.${proxyRegion ?? region}.amazonaws.com`,
        },
      ],
    },
  };
}

/** An error as the AWS JSON protocol writes it. */
export function awsError(status: number, type: string): Answer {
  return {
    status,
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-errortype': type },
    body: { __type: type, message: `${type} by the fake` },
  };
}

/** Expects STS to take on a role in a region, and answers with the keys of that role. */
export function expectAssumeRole(
  internet: Internet,
  region: string,
  expected: Readonly<Record<string, string>>,
  accessKeyId: string,
): void {
  internet.expect(`sts.${region}.amazonaws.com`, 'POST', '/', ({ body }) => {
    const form = new URLSearchParams(body);
    for (const [key, value] of Object.entries(expected)) assert.equal(form.get(key), value);
    const action = form.get('Action') ?? '';
    return {
      headers: { 'content-type': 'text/xml' },
      body: `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials><AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/a/b</Arn><AssumedRoleId>x:y</AssumedRoleId></AssumedRoleUser></${action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></${action}Response>`,
    };
  });
}

function checkRequest({ headers, body }: ReceivedRequest, region: string): void {
  assert.equal(
    headers['x-amz-target'],
    'AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken',
  );
  assert.equal(headers['content-type'], 'application/x-amz-json-1.1');
  assert.equal(body, '{}');
  assert.match(
    String(headers.authorization),
    new RegExp(
      `^AWS4-HMAC-SHA256 Credential=[A-Z0-9]+/\\d{8}/${region}/ecr/aws4_request, SignedHeaders=[a-z0-9;-]+, Signature=[0-9a-f]{64}$`,
    ),
  );
}
