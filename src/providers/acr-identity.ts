import type { TokenCredential } from '@azure/identity';
import * as z from 'zod';
import { ProviderError } from '../errors.ts';
import type { FetchContext } from '../provider.ts';
import { readReference, secretReferenceSchema } from '../reference.ts';

/** Who asks Entra ID for a token. */
export const identitySchema = z
  .discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('workload'),
      clientId: z.string().min(1).optional(),
      tenantId: z.string().min(1).optional(),
    }),
    z.strictObject({ type: z.literal('managed'), clientId: z.string().min(1).optional() }),
    z.strictObject({
      type: z.literal('servicePrincipal'),
      tenantId: z.string().min(1),
      clientId: z.string().min(1),
      clientSecret: secretReferenceSchema,
    }),
  ])
  .describe('Who asks Entra ID; by default what the environment of the workload offers');

/** A configured identity, or `undefined` for the ambient one. */
export type AcrIdentity = z.infer<typeof identitySchema> | undefined;

/** How long one request to Entra ID may take, in milliseconds: the SDK ignores abort signals. */
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Makes the credential that asks Entra ID. `DefaultAzureCredential` is not used: it probes every
 * source in turn and starts command-line programs.
 * @throws ProviderError `unconfigured` naming the variable that is missing
 */
export async function entraCredential(
  configured: AcrIdentity,
  authorityHost: string,
  context: FetchContext,
): Promise<TokenCredential> {
  const { ClientSecretCredential, ManagedIdentityCredential, WorkloadIdentityCredential } =
    await import('@azure/identity');
  const identity = configured ?? ambientIdentity(context.env);
  const options = { ...clientOptions(), authorityHost, disableInstanceDiscovery: true };
  switch (identity.type) {
    case 'workload':
      return new WorkloadIdentityCredential({
        ...options,
        clientId: identity.clientId ?? required(context.env, 'AZURE_CLIENT_ID'),
        tenantId: identity.tenantId ?? required(context.env, 'AZURE_TENANT_ID'),
        tokenFilePath: required(context.env, 'AZURE_FEDERATED_TOKEN_FILE'),
      });
    case 'managed':
      return identity.clientId
        ? new ManagedIdentityCredential({ ...clientOptions(), clientId: identity.clientId })
        : new ManagedIdentityCredential(clientOptions());
    case 'servicePrincipal': {
      const { value } = await readReference(identity.clientSecret, context);
      return new ClientSecretCredential(identity.tenantId, identity.clientId, value, options);
    }
  }
}

// The workload-identity webhook sets its variables in every Pod that it serves.
function ambientIdentity(env: FetchContext['env']): NonNullable<AcrIdentity> {
  const { AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE } = env;
  if (AZURE_FEDERATED_TOKEN_FILE) return { type: 'workload' };
  if (AZURE_CLIENT_ID && AZURE_TENANT_ID && AZURE_CLIENT_SECRET) {
    return {
      type: 'servicePrincipal',
      tenantId: AZURE_TENANT_ID,
      clientId: AZURE_CLIENT_ID,
      clientSecret: { env: 'AZURE_CLIENT_SECRET' },
    };
  }
  return { type: 'managed', ...(AZURE_CLIENT_ID && { clientId: AZURE_CLIENT_ID }) };
}

function clientOptions(): object {
  return {
    retryOptions: { maxRetries: 3, retryDelayInMs: 250, maxRetryDelayInMs: 4_000 },
    additionalPolicies: [
      {
        position: 'perCall',
        policy: {
          name: 'boundedRequest',
          sendRequest: (
            request: { timeout: number },
            next: (request: { timeout: number }) => Promise<unknown>,
          ) => next(Object.assign(request, { timeout: REQUEST_TIMEOUT_MS })),
        },
      },
    ],
  };
}

function required(env: FetchContext['env'], name: string): string {
  const value = env[name];
  if (value) return value;
  throw new ProviderError('unconfigured', `variable ${name} is not set`, {
    remedy:
      'label the Pod azure.workload.identity/use: "true" and annotate its ServiceAccount with azure.workload.identity/client-id',
  });
}
