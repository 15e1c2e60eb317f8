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
    const client = await createClient(configured);
    const { token } = await client.getAccessToken();
    const expiry = client.credentials.expiry_date;
    if (!token || !expiry) {
      throw new ProviderError('malformed', 'Google answered without an access token or its end');
    }
    const notice = noticeOf(configured, expiry);
    return configured.registries.map((registry) => ({
      registry,
      username: TOKEN_USERNAME,
      password: token,
      expiresAt: new Date(expiry),
      ...(notice && { notice }),
    }));
  } catch (error) {
    throw asProviderError(error, signal);
  }
}

async function createClient({ credentialsFile, impersonate }: Options): Promise<AuthClient> {
  // A CommonJS package: once bundled, its exports are found under `default` alone.
  const { default: google } = await import('google-auth-library');
  const { GoogleAuth, Impersonated } = google;
  const auth = new GoogleAuth({
    scopes: SCOPE,
    // Without a project the library looks for one, and runs gcloud to find it.
    projectId: 'unused',
    ...(credentialsFile && { keyFilename: credentialsFile }),
  });
  const client = await auth.getClient();
  if (impersonate === undefined) return client;
  return new Impersonated({
    sourceClient: client,
    targetPrincipal: impersonate.serviceAccount,
    targetScopes: [SCOPE],
    delegates: [],
    lifetime: impersonate.lifetime,
  });
}

// The metadata server hands out one token until it is nearly over, so asking again does not help.
function noticeOf({ impersonate }: Options, expiry: number): string | undefined {
  const left = expiry - Date.now();
  return left < SHORT_LIFE_MS && !impersonate
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
