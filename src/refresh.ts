import { applyAttachments, applySecretPlan } from './apply.ts';
import type { ApplyOptions, Outcome } from './apply.ts';
import { ClusterError } from './cluster.ts';
import type { Cluster, NamespaceState, SecretState } from './cluster.ts';
import type { Config, ConfiguredSecret } from './config.ts';
import { fetchLogins } from './credentials.ts';
import type { Exchange, FetchOptions, Logins } from './credentials.ts';
import { ConfigError } from './errors.ts';
import { secretContent } from './manifest.ts';
import { revisionOf } from './ownership.ts';
import { planAttachment, planSecret } from './plan.ts';
import type { PlannedAttachment, SecretPlan } from './plan.ts';
import { makeReport } from './report.ts';
import type { ObjectOutcomes, Report } from './report.ts';
import { literalNamespaces, selectTargets } from './targets.ts';
import type { SecretTargets } from './targets.ts';

/** A configuration whose owner is known. */
export type OwnedConfig = Config & { readonly instance: string };

/** How one run goes. */
export interface RefreshOptions extends FetchOptions {
  readonly dryRun: boolean;
  readonly forceRenew: boolean;
  readonly concurrency: number;
  /** Only Secrets that hold one of these registries; all where it is empty. */
  readonly registries: readonly string[];
  /** Only these namespaces; all targets where it is empty. */
  readonly namespaces: readonly string[];
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * One run: looks at what exists, decides what is due, fetches only the logins that are needed, and
 * writes. A part that fails is in the report and does not touch the others.
 * @throws ClusterError if the cluster cannot be looked at; ConfigError if two Secrets collide
 */
export async function refresh(
  config: OwnedConfig,
  cluster: Cluster,
  options: RefreshOptions,
): Promise<Report> {
  const startedAt = options.now();
  const secrets = chosenSecrets(config, options);
  const targets = await findTargets(secrets, cluster, options);
  const statics = await fetchLogins(exchangesOf(secrets, true), options);
  const plans = await planSecrets(targets, statics, config, cluster, options);
  const fetched = await fetchLogins(exchangesOf(dueSecrets(plans), false), options);
  const logins = {
    issued: [...statics.issued, ...fetched.issued],
    failed: [...statics.failed, ...fetched.failed],
  };
  const applying: ApplyOptions = { ...options, cluster, now: options.now() };
  const written = await applyPlans(plans, logins, config, applying);
  const attached = await attachSecrets(plans, written, applying);
  return makeReport({
    instance: config.instance,
    dryRun: options.dryRun,
    stopped: options.signal.aborted,
    startedAt,
    finishedAt: options.now(),
    plans,
    logins,
    secrets: written,
    serviceAccounts: attached,
  });
}

function chosenSecrets(
  config: OwnedConfig,
  { registries }: RefreshOptions,
): readonly ConfiguredSecret[] {
  if (registries.length === 0) return config.secrets;
  return config.secrets.filter(({ credentials }) =>
    credentials.some((credential) =>
      credential.registries.some((registry) => registries.includes(registry)),
    ),
  );
}

async function findTargets(
  secrets: readonly ConfiguredSecret[],
  cluster: Cluster,
  { namespaces: only }: RefreshOptions,
): Promise<readonly SecretTargets[]> {
  const namespaces = await listNamespaces(secrets, cluster);
  const targets = selectTargets(secrets, namespaces);
  if (only.length === 0) return targets;
  refuseUnknown(only, targets);
  return targets.map(({ secret, namespaces: all }) => ({
    secret,
    namespaces: all.filter(({ name }) => only.includes(name)),
  }));
}

function refuseUnknown(only: readonly string[], targets: readonly SecretTargets[]): void {
  const known = new Set(targets.flatMap(({ namespaces }) => namespaces.map(({ name }) => name)));
  const unknown = only.filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new ConfigError(
      unknown.map((name) => ({
        path: '--namespace',
        message: `${name} is not a namespace that the configuration selects`,
      })),
    );
  }
}

// Without the right to list namespaces, those that the configuration names are enough.
async function listNamespaces(
  secrets: readonly ConfiguredSecret[],
  cluster: Cluster,
): Promise<readonly NamespaceState[]> {
  const named = literalNamespaces(secrets);
  try {
    const existing = await cluster.listNamespaces();
    const known = new Set(existing.map(({ name }) => name));
    return [...existing, ...assumed((named ?? []).filter((name) => !known.has(name)))];
  } catch (error) {
    if (named !== undefined && isForbidden(error)) return assumed(named);
    throw error;
  }
}

function assumed(names: readonly string[]): readonly NamespaceState[] {
  return names.map((name) => ({ name, labels: {}, terminating: false }));
}

async function planSecrets(
  targets: readonly SecretTargets[],
  statics: Logins,
  config: OwnedConfig,
  cluster: Cluster,
  options: RefreshOptions,
): Promise<readonly SecretPlan[]> {
  return await Promise.all(
    targets.map(async ({ secret, namespaces }) => {
      const names = namespaces.map(({ name }) => name);
      const claimed = targets
        .filter((other) => other.secret !== secret && other.secret.name === secret.name)
        .flatMap((other) => other.namespaces.map(({ name }) => name));
      return planSecret({
        secret,
        namespaces,
        existing: await listSecrets(secret.name, names, cluster, options),
        claimedElsewhere: new Set(claimed),
        instance: config.instance,
        revision: secretRevision(secret, statics),
        now: options.now(),
        forceRenew: options.forceRenew,
      });
    }),
  );
}

// One list across the cluster also shows what no longer belongs; without that right, or with a
// filter, only the targets are asked for.
async function listSecrets(
  name: string,
  namespaces: readonly string[],
  cluster: Cluster,
  options: RefreshOptions,
): Promise<readonly SecretState[]> {
  if (options.namespaces.length > 0) return await cluster.listSecrets(name, namespaces);
  try {
    return await cluster.listSecrets(name);
  } catch (error) {
    if (isForbidden(error)) return await cluster.listSecrets(name, namespaces);
    throw error;
  }
}

function secretRevision(secret: ConfiguredSecret, statics: Logins): string | undefined {
  const names = new Set(secret.credentials.map(({ name }) => name));
  if (statics.failed.some(({ credential }) => names.has(credential.name))) return undefined;
  return revisionOf(
    secret,
    statics.issued.filter(({ credential }) => names.has(credential)).map(({ login }) => login),
  );
}

function dueSecrets(plans: readonly SecretPlan[]): readonly ConfiguredSecret[] {
  return plans
    .filter(({ targets }) =>
      targets.some(({ action }) => action === 'create' || action === 'renew'),
    )
    .map(({ secret }) => secret);
}

function exchangesOf(secrets: readonly ConfiguredSecret[], local: boolean): readonly Exchange[] {
  const credentials = new Set(secrets.flatMap((secret) => secret.credentials));
  return [...credentials].flatMap((credential) =>
    credential.sources
      .filter((source) => (source.local ?? false) === local)
      .map((source) => ({ credential, source })),
  );
}

async function applyPlans(
  plans: readonly SecretPlan[],
  logins: Logins,
  config: OwnedConfig,
  options: ApplyOptions,
): Promise<readonly ObjectOutcomes[]> {
  const results: ObjectOutcomes[] = [];
  for (const plan of plans) {
    const owner = { instance: config.instance, revision: plan.revision };
    const content = secretContent(plan.secret, owner, logins);
    const outcomes = await applySecretPlan(plan, content, options);
    results.push({ name: plan.secret.name, outcomes });
  }
  return results;
}

async function attachSecrets(
  plans: readonly SecretPlan[],
  written: readonly ObjectOutcomes[],
  options: ApplyOptions,
): Promise<readonly ObjectOutcomes[]> {
  const wanted = wantedAttachments(plans, written);
  return await Promise.all(
    [...wanted].map(async ([account, byNamespace]) => ({
      name: account,
      outcomes: await attachAccount(account, byNamespace, options),
    })),
  );
}

async function attachAccount(
  account: string,
  byNamespace: ReadonlyMap<string, readonly string[]>,
  options: ApplyOptions,
): Promise<readonly Outcome[]> {
  const namespaces = [...byNamespace.keys()];
  try {
    const existing = await listAccounts(account, namespaces, options.cluster);
    const attachments = existing.flatMap((state): PlannedAttachment[] => {
      const secrets = byNamespace.get(state.namespace);
      return secrets ? [planAttachment(state, secrets)] : [];
    });
    const present = new Set(existing.map(({ namespace }) => namespace));
    const absent = namespaces
      .filter((namespace) => !present.has(namespace))
      .map((namespace): Outcome => ({
        namespace,
        action: 'skip',
        reason: `there is no ServiceAccount ${account}`,
      }));
    return [...(await applyAttachments(attachments, options)), ...absent];
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    const reason = error.message;
    return namespaces.map((namespace) => ({ namespace, action: 'fail', reason }));
  }
}

async function listAccounts(
  account: string,
  namespaces: readonly string[],
  cluster: Cluster,
): ReturnType<Cluster['listServiceAccounts']> {
  try {
    return await cluster.listServiceAccounts(account);
  } catch (error) {
    if (isForbidden(error)) return await cluster.listServiceAccounts(account, namespaces);
    throw error;
  }
}

// Only a Secret that is there is attached: the kubelet complains about one that is not.
function wantedAttachments(
  plans: readonly SecretPlan[],
  written: readonly ObjectOutcomes[],
): ReadonlyMap<string, ReadonlyMap<string, readonly string[]>> {
  const wanted = new Map<string, Map<string, string[]>>();
  for (const [index, { secret }] of plans.entries()) {
    const present = (written[index]?.outcomes ?? []).filter(({ action }) =>
      ['create', 'renew', 'fresh', 'keep'].includes(action),
    );
    for (const account of secret.serviceAccounts) {
      const byNamespace = wanted.get(account) ?? new Map<string, string[]>();
      wanted.set(account, byNamespace);
      for (const { namespace } of present) {
        byNamespace.set(namespace, [...(byNamespace.get(namespace) ?? []), secret.name]);
      }
    }
  }
  return wanted;
}

function isForbidden(error: unknown): boolean {
  return error instanceof ClusterError && error.reason === 'forbidden';
}
