import { applySecretPlan } from './apply.ts';
import type { ApplyOptions } from './apply.ts';
import { attachSecrets } from './attach.ts';
import type { Cluster } from './cluster.ts';
import type { Config, ConfiguredSecret } from './config.ts';
import { fetchLogins } from './credentials.ts';
import type { Exchange, FetchOptions, Logins } from './credentials.ts';
import { secretContent } from './manifest.ts';
import { revisionOf } from './ownership.ts';
import { planSecret } from './plan.ts';
import type { SecretPlan } from './plan.ts';
import { makeReport } from './report.ts';
import type { ObjectOutcomes, Report } from './report.ts';
import { findSecrets, findTargets } from './survey.ts';
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
  const targets = await findTargets(config.secrets, cluster, options.namespaces);
  const secrets = config.secrets.filter((secret) => isChosen(secret, options.registries));
  const statics = await fetchLogins(exchangesOf(secrets, true), options);
  const plans = await Promise.all(
    secrets.map((secret) => planOf(secret, targets, statics, config, cluster, options)),
  );
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

function isChosen({ credentials }: ConfiguredSecret, registries: readonly string[]): boolean {
  return (
    registries.length === 0 ||
    credentials.some((credential) =>
      credential.registries.some((registry) => registries.includes(registry)),
    )
  );
}

async function planOf(
  secret: ConfiguredSecret,
  targets: readonly SecretTargets[],
  statics: Logins,
  config: OwnedConfig,
  cluster: Cluster,
  options: RefreshOptions,
): Promise<SecretPlan> {
  const namespaces = targets.find((target) => target.secret === secret)?.namespaces ?? [];
  const names = namespaces.map(({ name }) => name);
  // All entries count, those outside of a filter too: what they want is no orphan.
  const claimed = targets
    .filter((other) => other.secret !== secret && other.secret.name === secret.name)
    .flatMap((other) => other.namespaces.map(({ name }) => name));
  return planSecret({
    secret,
    namespaces,
    existing: await findSecrets(secret.name, names, cluster, options.namespaces),
    claimedElsewhere: new Set(claimed),
    instance: config.instance,
    revision: secretRevision(secret, statics),
    now: options.now(),
    forceRenew: options.forceRenew,
  });
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
