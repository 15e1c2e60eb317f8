import https from 'node:https';
import type { ECRClient } from '@aws-sdk/client-ecr';
import * as z from 'zod';
import { ProviderError } from '../errors.ts';
import { API_VERSION, defineProvider } from '../provider.ts';
import type { CredentialSource, FetchContext, RegistryCredential } from '../provider.ts';
import { hostOf, registriesSchema } from '../registry.ts';

/**
 * The hosts of private ECR registries in every partition, FIPS and dual-stack ones included.
 * https://docs.aws.amazon.com/general/latest/gr/ecr.html
 */
const HOST = new RegExp(
  String.raw`^(?<account>\d{12})\.dkr(?<separator>[.-])ecr(?<fips>-fips)?\.(?<region>[a-z]{2,}(?:-[a-z]+)+-\d+)\.` +
    String.raw`(?<suffix>amazonaws\.com(?:\.cn)?|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$`,
);

/** The one part of an ECR API that a registry's login comes from. */
interface Endpoint {
  readonly region: string;
  readonly fips: boolean;
  readonly dualstack: boolean;
}

const options = z.strictObject({
  registries: registriesSchema.superRefine((registries, context) => {
    for (const [index, registry] of registries.entries()) {
      if (endpointOf(registry) === undefined) {
        context.addIssue({
          code: 'custom',
          path: [index],
          message: 'is not an ECR registry such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com',
        });
      }
    }
  }),
  assumeRole: z
    .strictObject({
      arn: z.string().regex(/^arn:[\w-]+:iam::\d{12}:role\/.+$/, 'is not the ARN of a role'),
      externalId: z.string().min(2).optional(),
      sessionName: z
        .string()
        .regex(/^[\w+=,.@-]{2,64}$/)
        .default('registry-token-refresher'),
    })
    .optional()
    .describe("A role of another account, taken on with the workload's identity"),
  endpoint: z.url().optional().describe('The ECR API, where it is not the public one'),
});

type Options = z.infer<typeof options>;

/**
 * Private ECR registries. One authorization token opens every registry of its region that the
 * identity may read, and none of another region, so each region is one exchange.
 * https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
 */
export const ecr = defineProvider({
  apiVersion: API_VERSION,
  name: 'ecr',
  summary: 'AWS identity of the workload (IRSA, Pod Identity, keys, profile, instance); 12 hours',
  hosts: ['ACCOUNT.dkr.ecr.REGION.amazonaws.com', 'ACCOUNT.dkr-ecr.REGION.on.aws'],
  matches: (host) => HOST.test(host),
  options,
  configure: byEndpoint,
});

function endpointOf(registry: string): Endpoint | undefined {
  const groups = hostOf(registry) === registry ? HOST.exec(registry)?.groups : undefined;
  if (groups?.region === undefined) return undefined;
  return {
    region: groups.region,
    fips: groups.fips !== undefined,
    dualstack: groups.separator === '-',
  };
}

function byEndpoint(configured: Options): readonly CredentialSource[] {
  const groups = new Map<string, { endpoint: Endpoint; registries: string[] }>();
  for (const registry of configured.registries) {
    const endpoint = endpointOf(registry);
    if (endpoint === undefined) continue;
    const key = JSON.stringify(endpoint);
    const group = groups.get(key) ?? { endpoint, registries: [] };
    group.registries.push(registry);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ endpoint, registries }) => ({
    registries,
    getCredentials: (context) => getAuthorizationToken(endpoint, registries, configured, context),
  }));
}

async function getAuthorizationToken(
  endpoint: Endpoint,
  registries: readonly string[],
  configured: Options,
  context: FetchContext,
): Promise<readonly RegistryCredential[]> {
  const { GetAuthorizationTokenCommand } = await import('@aws-sdk/client-ecr');
  // The SDK knows no proxy, Node's agent does. One agent for each exchange: destroying a client
  // also breaks the requests that others have under way on its agent.
  const agent = new https.Agent({ keepAlive: true, proxyEnv: context.env });
  const client = await createClient(endpoint, configured, agent);
  try {
    const answer: unknown = await client.send(new GetAuthorizationTokenCommand({}), {
      abortSignal: context.signal,
    });
    const login = readAnswer(answer, endpoint.region);
    return registries.map((registry) => ({ registry, ...login }));
  } catch (error) {
    throw asProviderError(error, endpoint.region, context.signal);
  } finally {
    client.destroy();
    agent.destroy();
  }
}

async function createClient(
  { region, fips, dualstack }: Endpoint,
  { assumeRole, endpoint }: Options,
  httpsAgent: https.Agent,
): Promise<ECRClient> {
  const { ECRClient: Client } = await import('@aws-sdk/client-ecr');
  const { fromNodeProviderChain, fromTemporaryCredentials } =
    await import('@aws-sdk/credential-providers');
  // The SDK waits forever by default.
  const requestHandler = {
    connectionTimeout: 5_000,
    requestTimeout: 10_000,
    throwOnRequestTimeout: true,
    httpsAgent,
  };
  const clientConfig = { region, requestHandler };
  const ambient = fromNodeProviderChain({ clientConfig, timeout: 2_000, maxRetries: 1 });
  return new Client({
    ...clientConfig,
    useFipsEndpoint: fips,
    useDualstackEndpoint: dualstack,
    maxAttempts: 4,
    ...(endpoint && { endpoint }),
    credentials: assumeRole
      ? fromTemporaryCredentials({
          masterCredentials: ambient,
          clientConfig,
          params: {
            RoleArn: assumeRole.arn,
            RoleSessionName: assumeRole.sessionName,
            ...(assumeRole.externalId && { ExternalId: assumeRole.externalId }),
          },
        })
      : ambient,
  });
}

const answerSchema = z.object({
  authorizationData: z
    .array(
      z.object({
        authorizationToken: z.string().min(1),
        expiresAt: z.date(),
        proxyEndpoint: z.string().optional(),
      }),
    )
    .min(1),
});

function readAnswer(
  answer: unknown,
  region: string,
): { readonly username: string; readonly password: string; readonly expiresAt: Date } {
  const data = answerSchema.safeParse(answer).data?.authorizationData[0];
  if (data === undefined) {
    throw new ProviderError(
      'malformed',
      `ECR in ${region} answered without an authorization token`,
    );
  }
  const issuer = data.proxyEndpoint && endpointOf(data.proxyEndpoint.replace(/^https:\/\//, ''));
  if (data.proxyEndpoint !== undefined && (!issuer || issuer.region !== region)) {
    throw new ProviderError('malformed', `ECR in ${region} answered for another registry`);
  }
  const decoded = Buffer.from(data.authorizationToken, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 1) {
    throw new ProviderError('malformed', `ECR in ${region} answered with an unreadable token`);
  }
  return {
    username: decoded.slice(0, colon),
    password: decoded.slice(colon + 1),
    expiresAt: data.expiresAt,
  };
}

/** The fields of an SDK error that are read; its message may quote what was sent. */
interface AwsError {
  readonly name?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

function asProviderError(error: unknown, region: string, signal: AbortSignal): ProviderError {
  if (error instanceof ProviderError) return error;
  const { name = 'Error', code, $metadata } = error as AwsError;
  const status = $metadata?.httpStatusCode;
  const what = `ECR in ${region}: ${code ?? name}${status ? ` (HTTP ${status})` : ''}`;
  if (signal.aborted) return new ProviderError('timeout', what);
  if (name === 'CredentialsProviderError') {
    return new ProviderError('unconfigured', `${what}: no AWS identity was found`, {
      remedy:
        'annotate the ServiceAccount for IRSA, associate it with EKS Pod Identity, or set AWS_ACCESS_KEY_ID',
    });
  }
  if (status === 401 || status === 403 || (status === 400 && !/Throttl|Limit/.test(name))) {
    return new ProviderError('refused', what, {
      remedy: 'allow ecr:GetAuthorizationToken on * (and sts:AssumeRole* for a role)',
    });
  }
  return new ProviderError('unavailable', what);
}
