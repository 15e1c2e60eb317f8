import { readFile } from 'node:fs/promises';
import type { AuthClient } from 'google-auth-library';
import * as z from 'zod';
import { ProviderError } from '../errors.ts';
import { API_VERSION, defineProvider } from '../provider.ts';
import type { FetchContext, RegistryCredential } from '../provider.ts';
import { hostOf, registriesSchema } from '../registry.ts';

/**
 * Container Registry, and Artifact Registry at its locations and regional endpoints.
 * https://cloud.google.com/artifact-registry/docs/docker/authentication
 */
const HOST =
  /^(?:(?:[a-z0-9-]+\.)*gcr\.io|[a-z0-9-]+-docker\.pkg\.dev|docker\.[a-z0-9-]+\.rep\.pkg\.dev)$/;

/** The user name that goes with an access token. */
const TOKEN_USERNAME = 'oauth2accesstoken';

/** Artifact Registry offers no narrower scope; what the token may do, IAM decides. */
const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';

/** A login with less than this to live, in milliseconds, is worth a word. */
const SHORT_LIFE_MS = 15 * 60_000;

const options = z.strictObject({
  registries: registriesSchema.superRefine((registries, context) => {
    for (const [index, registry] of registries.entries()) {
      if (!isGoogleHost(registry)) {
        context.addIssue({
          code: 'custom',
          path: [index],
          message: 'is not a Google registry such as europe-docker.pkg.dev or gcr.io',
        });
      }
    }
  }),
  credentialsFile: z
    .string()
    .min(1)
    .optional()
    .describe('A service-account key or a federation configuration; else the ambient identity'),
  impersonate: z
    .strictObject({
      serviceAccount: z.email(),
      lifetime: z.int().min(60).max(43_200).default(3_600).describe('In seconds'),
    })
    .optional()
    .describe('A service account whose token is minted anew at every run'),
});

type Options = z.infer<typeof options>;

/** Google's registries: one access token of the workload opens all that its identity may read. */
export const gcr = defineProvider({
  apiVersion: API_VERSION,
  name: 'gcr',
  summary: 'Google identity of the workload (metadata server, federation, key); at most 1 hour',
  hosts: ['gcr.io', '*.gcr.io', 'LOCATION-docker.pkg.dev', 'docker.LOCATION.rep.pkg.dev'],
  matches: (host) => HOST.test(host),
  options,
  configure: (configured) => [
    {
      registries: configured.registries,
      getCredentials: (context) => getAccessToken(configured, context),
    },
  ],
});

function isGoogleHost(registry: string): boolean {
  return hostOf(registry) === registry && HOST.test(registry);
}

async function getAccessToken(
  configured: Options,
  { signal }: FetchContext,
): Promise<readonly RegistryCredential[]> {
  try {
    const client = await createClient(configured.credentialsFile);
    const { token, expiresAt } = configured.impersonate
      ? await impersonate(client, configured.impersonate, signal)
      : await ownToken(client);
    const notice = noticeOf(configured, expiresAt);
    return configured.registries.map((registry) => ({
      registry,
      username: TOKEN_USERNAME,
      password: token,
      expiresAt,
      ...(notice && { notice }),
    }));
  } catch (error) {
    throw asProviderError(error, signal);
  }
}

interface AccessToken {
  readonly token: string;
  readonly expiresAt: Date;
}

async function ownToken(client: AuthClient): Promise<AccessToken> {
  const { token } = await client.getAccessToken();
  const expiry = client.credentials.expiry_date;
  if (!token || !expiry) {
    throw new ProviderError('malformed', 'Google answered without an access token or its end');
  }
  return { token, expiresAt: new Date(expiry) };
}

const mintedSchema = z.object({
  accessToken: z.string().min(1),
  expireTime: z.iso.datetime({ offset: true }),
});

// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
async function impersonate(
  client: AuthClient,
  { serviceAccount, lifetime }: NonNullable<Options['impersonate']>,
  signal: AbortSignal,
): Promise<AccessToken> {
  const { data } = await client.request<unknown>({
    url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${serviceAccount}:generateAccessToken`,
    method: 'POST',
    data: { scope: [SCOPE], lifetime: `${lifetime}s` },
    signal,
    // A POST is not tried again by default; minting a token twice does no harm.
    retryConfig: { retry: 3, httpMethodsToRetry: ['POST'], retryDelay: 250 },
  });
  const minted = mintedSchema.safeParse(data);
  if (!minted.success) {
    throw new ProviderError('malformed', `Google minted no token of ${serviceAccount}`);
  }
  return { token: minted.data.accessToken, expiresAt: new Date(minted.data.expireTime) };
}

const keyFileSchema = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('service_account'),
    client_email: z.string().min(1),
    private_key: z.string().min(1),
  }),
  z.looseObject({ type: z.literal('external_account') }),
]);

async function createClient(file: string | undefined): Promise<AuthClient> {
  // A CommonJS package: once bundled, its exports are found under `default` alone.
  const { default: google } = await import('google-auth-library');
  if (file === undefined) {
    // Without a project the library looks for one, and runs gcloud to find it.
    return await new google.GoogleAuth({ scopes: SCOPE, projectId: 'unused' }).getClient();
  }
  const content = await readKeyFile(file);
  if (content.type === 'service_account') {
    const { client_email: email, private_key: key } = content;
    return new google.JWT({ email, key, scopes: [SCOPE] });
  }
  const client = google.ExternalAccountClient.fromJSON(content as never);
  if (client === null) throw unusableFile(file);
  client.scopes = [SCOPE];
  return client;
}

async function readKeyFile(file: string): Promise<z.infer<typeof keyFileSchema>> {
  try {
    return keyFileSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw unusableFile(file, typeof code === 'string' ? code : undefined);
  }
}

function unusableFile(file: string, code?: string): ProviderError {
  return new ProviderError(
    'unconfigured',
    code
      ? `file ${file} cannot be read (${code})`
      : `file ${file} is neither a service-account key nor a federation configuration`,
  );
}

// The metadata server hands out one token until it is nearly over, so asking again does not help.
function noticeOf(configured: Options, expiresAt: Date): string | undefined {
  const left = expiresAt.getTime() - Date.now();
  return left < SHORT_LIFE_MS && !configured.impersonate
    ? `Google handed out a token with ${Math.max(0, Math.floor(left / 60_000))} min to live; impersonate a service account to get a new one at every run`
    : undefined;
}

/** The fields of a gaxios error that are read; its message and config may hold what was sent. */
interface GoogleError {
  readonly message?: string;
  readonly code?: string | number;
  readonly status?: number;
  readonly response?: { readonly status?: number };
}

function asProviderError(error: unknown, signal: AbortSignal): ProviderError {
  if (error instanceof ProviderError) return error;
  const { message = '', code, status, response } = error as GoogleError;
  const http = response?.status ?? status;
  const what = `Google gave no access token (${http ? `HTTP ${http}` : (code ?? 'Error')})`;
  if (signal.aborted) return new ProviderError('timeout', what);
  if (/default credentials|ENOENT|does not exist/.test(message)) {
    return new ProviderError('unconfigured', 'no Google identity was found', {
      remedy:
        'bind the ServiceAccount to GKE workload identity, or set GOOGLE_APPLICATION_CREDENTIALS',
    });
  }
  if (http !== undefined && http >= 400 && http < 500 && http !== 429) {
    return new ProviderError('refused', what, {
      remedy:
        'grant roles/artifactregistry.reader, and roles/iam.serviceAccountTokenCreator to impersonate',
    });
  }
  // What is neither an HTTP answer nor a failed connection is an answer that the library gave up on.
  return new ProviderError((http ?? code) ? 'unavailable' : 'malformed', what);
}
