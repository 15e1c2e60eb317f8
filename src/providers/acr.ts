import * as z from 'zod';
import { ProviderError } from '../errors.ts';
import { API_VERSION, defineProvider } from '../provider.ts';
import type { CredentialSource, FetchContext, RegistryCredential } from '../provider.ts';
import { hostOf, registriesSchema, registrySchema } from '../registry.ts';
import { entraCredential, identitySchema } from './acr-identity.ts';

/**
 * The user name that goes with a refresh token.
 * https://learn.microsoft.com/azure/container-registry/container-registry-authentication
 */
const TOKEN_USERNAME = '00000000-0000-0000-0000-000000000000';

/** The audience that every registry accepts; those that refuse ARM tokens accept only this one. */
const ACR_AUDIENCE = 'https://containerregistry.azure.net';

/** How long one try of an exchange may take, in milliseconds. */
const EXCHANGE_TIMEOUT_MS = 10_000;

/** Each cloud: its registries' suffix, where Entra ID is, and its name among the SDK's audiences. */
const CLOUDS = [
  {
    suffix: '.azurecr.io',
    authority: 'https://login.microsoftonline.com',
    arm: 'AzureResourceManagerPublicCloud',
  },
  {
    suffix: '.azurecr.cn',
    authority: 'https://login.chinacloudapi.cn',
    arm: 'AzureResourceManagerChina',
  },
  {
    suffix: '.azurecr.us',
    authority: 'https://login.microsoftonline.us',
    arm: 'AzureResourceManagerGovernment',
  },
  {
    suffix: '.azurecr.de',
    authority: 'https://login.microsoftonline.de',
    arm: 'AzureResourceManagerGermany',
  },
] as const;

const options = z
  .strictObject({
    registries: registriesSchema,
    identity: identitySchema.optional(),
    audience: z
      .union([z.literal('arm'), z.url({ protocol: /^https$/ })])
      .optional()
      .describe('The audience of the Entra token; `arm` for clouds without the registry audience'),
    authorityHost: z
      .url({ protocol: /^https$/ })
      .optional()
      .describe('Where Entra ID is'),
    allowHosts: z
      .array(registrySchema)
      .default([])
      .describe('Hosts outside of azurecr.* that may be shown the Entra token'),
  })
  .superRefine(({ registries, allowHosts }, context) => {
    for (const [index, registry] of registries.entries()) {
      if (!isAcrHost(registry) && !allowHosts.includes(registry)) {
        context.addIssue({
          code: 'custom',
          path: ['registries', index],
          message:
            'is not an ACR registry such as example.azurecr.io; name it under allowHosts to trust it with an Entra token',
        });
      }
    }
  });

type Options = z.infer<typeof options>;

/**
 * Azure Container Registry: an Entra ID token is exchanged with each registry for a refresh token,
 * which serves as a password. All registries of an entry share one Entra token.
 * https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
 */
export const acr = defineProvider({
  apiVersion: API_VERSION,
  name: 'acr',
  summary: 'Entra identity of the workload (workload, managed, service principal); at most 3 hours',
  hosts: CLOUDS.map(({ suffix }) => `*${suffix}`),
  matches: isAcrHost,
  options,
  configure: (configured) => {
    const share = sharedToken(configured);
    return configured.registries.map((registry): CredentialSource => ({
      registries: [registry],
      getCredentials: async (context) => [await exchange(registry, await share(context), context)],
    }));
  },
});

function isAcrHost(registry: string): boolean {
  return (
    hostOf(registry) === registry &&
    CLOUDS.some(({ suffix }) => registry.endsWith(suffix) && registry !== suffix)
  );
}

function cloudOf({ registries }: Options): (typeof CLOUDS)[number] {
  return CLOUDS.find(({ suffix }) => registries[0]?.endsWith(suffix)) ?? CLOUDS[0];
}

// Registries are asked at the same time; only a request that is under way is shared, so that no
// failure and no old token outlives it.
function sharedToken(configured: Options): (context: FetchContext) => Promise<string> {
  let underWay: Promise<string> | undefined;
  return async (context) => {
    underWay ??= entraToken(configured, context).finally(() => {
      underWay = undefined;
    });
    return await underWay;
  };
}

async function entraToken(configured: Options, context: FetchContext): Promise<string> {
  const cloud = cloudOf(configured);
  const authority =
    configured.authorityHost ?? (context.env.AZURE_AUTHORITY_HOST || cloud.authority);
  try {
    const credential = await entraCredential(configured.identity, authority, context);
    const scope = `${await audienceOf(configured, cloud)}/.default`;
    const token = await credential.getToken(scope, { abortSignal: context.signal });
    if (!token?.token) throw new ProviderError('malformed', 'Entra ID answered without a token');
    return token.token;
  } catch (error) {
    throw asEntraError(error);
  }
}

async function audienceOf({ audience }: Options, cloud: (typeof CLOUDS)[number]): Promise<string> {
  if (audience !== 'arm') return audience ?? ACR_AUDIENCE;
  const { KnownContainerRegistryAudience } = await import('@azure/container-registry');
  return KnownContainerRegistryAudience[cloud.arm];
}

async function exchange(
  registry: string,
  accessToken: string,
  { signal }: FetchContext,
): Promise<RegistryCredential> {
  const {
    createDefaultHttpClient,
    createPipelineFromOptions,
    createPipelineRequest,
    redirectPolicyName,
  } = await import('@azure/core-rest-pipeline');
  const pipeline = createPipelineFromOptions({
    retryOptions: { maxRetries: 3, retryDelayInMs: 250, maxRetryDelayInMs: 4_000 },
  });
  // The Entra token goes to the registry that was configured and nowhere else.
  pipeline.removePolicy({ name: redirectPolicyName });
  const form = new URLSearchParams({
    grant_type: 'access_token',
    service: registry,
    access_token: accessToken,
  });
  const request = createPipelineRequest({
    url: `https://${registry}/oauth2/exchange`,
    method: 'POST',
    body: form.toString(),
    timeout: EXCHANGE_TIMEOUT_MS,
    abortSignal: signal,
  });
  request.headers.set('content-type', 'application/x-www-form-urlencoded');
  request.headers.set('accept', 'application/json');
  try {
    const { status, bodyAsText } = await pipeline.sendRequest(createDefaultHttpClient(), request);
    if (status !== 200) throw exchangeRefused(registry, status);
    return readRefreshToken(registry, bodyAsText ?? '');
  } catch (error) {
    if (error instanceof ProviderError) throw error;
    const { code, name } = error as { readonly code?: string; readonly name?: string };
    const reason = name === 'AbortError' ? 'timeout' : 'unavailable';
    throw new ProviderError(
      reason,
      `${registry}: the exchange failed (${code ?? name ?? 'Error'})`,
    );
  }
}

function exchangeRefused(registry: string, status: number): ProviderError {
  const message = `${registry}: the exchange was answered HTTP ${status}`;
  if (status === 429 || status >= 500) return new ProviderError('unavailable', message);
  return status === 401 || status === 403
    ? new ProviderError('refused', message, {
        remedy:
          "give the identity the role AcrPull on the registry, and check the registry's firewall",
      })
    : new ProviderError('malformed', message, { remedy: 'check the name of the registry' });
}

const answerSchema = z.object({ refresh_token: z.string().min(1) });
const claimsSchema = z.object({ exp: z.number().positive(), aud: z.string().optional() });

function readRefreshToken(registry: string, body: string): RegistryCredential {
  const answer = answerSchema.safeParse(parseJson(body));
  if (!answer.success) {
    throw new ProviderError('malformed', `${registry}: the exchange gave no refresh token`);
  }
  const password = answer.data.refresh_token;
  const [, payload = ''] = password.split('.');
  const claims = claimsSchema.safeParse(
    parseJson(Buffer.from(payload, 'base64url').toString('utf8')),
  );
  if (!claims.success) {
    throw new ProviderError(
      'malformed',
      `${registry}: the refresh token does not say when it expires`,
    );
  }
  const { exp, aud } = claims.data;
  if (aud !== undefined && aud !== registry) {
    throw new ProviderError('malformed', `${registry}: the refresh token is for another registry`);
  }
  return { registry, username: TOKEN_USERNAME, password, expiresAt: new Date(exp * 1000) };
}

// The SDK's messages may quote what was sent; Entra's error code says what is wrong.
function asEntraError(error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const {
    name = 'Error',
    statusCode,
    message = '',
  } = error as {
    readonly name?: string;
    readonly statusCode?: number;
    readonly message?: string;
  };
  const code = /AADSTS\d+/.exec(message)?.[0];
  const what = `Entra ID gave no token (${[code, statusCode && `HTTP ${statusCode}`].filter(Boolean).join(', ') || name})`;
  if (name === 'CredentialUnavailableError') {
    return new ProviderError('unconfigured', what, {
      remedy:
        'set up workload identity, a managed identity, or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET',
    });
  }
  if (name === 'AbortError') return new ProviderError('timeout', what);
  const refused =
    code !== undefined ||
    (statusCode !== undefined && statusCode >= 400 && statusCode < 500 && statusCode !== 429);
  return refused
    ? new ProviderError('refused', what, {
        remedy: 'check client id, tenant, federated credential and secret',
      })
    : new ProviderError('unavailable', what);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
