import { ClusterError } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { keptEntries, secretManifest } from './manifest.ts';
import type { SecretContent } from './manifest.ts';
import type { PlannedAttachment, PlannedSecret, SecretPlan } from './plan.ts';
import { describeConflict, describeDue } from './reasons.ts';
import { forEachConcurrently } from './pool.ts';

/**
 * What became of one object in one namespace:
 * - `create`, `renew`, `attach`: done (in a dry run: accepted by the server, not written);
 * - `fresh`: nothing to do; `skip`: cannot be done now and need not be; `orphan`: no longer a target;
 * - `keep`: left as it was, because no login for it could be had;
 * - `conflict`: belongs to somebody else; `fail`: tried in vain; `stop`: not reached.
 */
export type Action =
  | 'create'
  | 'renew'
  | 'attach'
  | 'fresh'
  | 'skip'
  | 'orphan'
  | 'keep'
  | 'conflict'
  | 'fail'
  | 'stop';

/** What became of one object, and why, in words for the report. */
export interface Outcome {
  readonly namespace: string;
  readonly action: Action;
  readonly reason: string;
  /** Registries whose login is not in it, though it should be. */
  readonly lacking?: readonly string[];
}

/** How a plan is carried out. */
export interface ApplyOptions {
  readonly cluster: Cluster;
  readonly dryRun: boolean;
  /** Requests under way at the most. */
  readonly concurrency: number;
  /** Aborted when no new work may start. */
  readonly signal: AbortSignal;
  readonly now: Date;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Carries out the plan of one Secret. Never rejects: what fails is an outcome. */
export async function applySecretPlan(
  plan: SecretPlan,
  content: SecretContent,
  options: ApplyOptions,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = plan.orphans.map((namespace) => ({
    namespace,
    action: 'orphan',
    reason: `no longer a target; kubectl -n ${namespace} delete secret ${plan.secret.name}`,
  }));
  const due: DueTarget[] = [];
  for (const target of plan.targets) {
    const settled = settledOutcome(target, plan);
    if (settled) outcomes.push(settled);
    else if (isDueTarget(target)) due.push(target);
  }
  // Serialised once: ten thousand namespaces get the same bytes.
  const manifest = secretManifest(content);
  let done = 0;
  const started = await forEachConcurrently(
    due,
    options.concurrency,
    options.signal,
    async (target) => {
      outcomes.push(await applyTarget(target, manifest, content, options));
      done += 1;
      options.onProgress?.(done, due.length);
    },
  );
  for (const { namespace } of due.slice(started)) {
    outcomes.push({ namespace, action: 'stop', reason: 'the run was stopped before its turn' });
  }
  return outcomes;
}

/** Carries out attachments. Never rejects. */
export async function applyAttachments(
  attachments: readonly PlannedAttachment[],
  options: ApplyOptions,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = attachments
    .filter(({ missing }) => missing.length === 0)
    .map(({ account }) => ({ namespace: account.namespace, action: 'fresh', reason: '' }));
  const due = attachments.filter(({ missing }) => missing.length > 0);
  const { cluster, dryRun, concurrency, signal } = options;
  const started = await forEachConcurrently(due, concurrency, signal, async (attachment) => {
    const { account, missing } = attachment;
    try {
      await cluster.attach(account, missing, { dryRun });
      outcomes.push({
        namespace: account.namespace,
        action: 'attach',
        reason: missing.join(', '),
      });
    } catch (error) {
      outcomes.push(failedOutcome(account.namespace, error));
    }
  });
  for (const { account } of due.slice(started)) {
    outcomes.push({
      namespace: account.namespace,
      action: 'stop',
      reason: 'the run was stopped before its turn',
    });
  }
  return outcomes;
}

type DueTarget = Extract<PlannedSecret, { action: 'create' | 'renew' }>;

function isDueTarget(target: PlannedSecret): target is DueTarget {
  return target.action === 'create' || target.action === 'renew';
}

function settledOutcome(target: PlannedSecret, plan: SecretPlan): Outcome | undefined {
  const { namespace } = target;
  switch (target.action) {
    case 'fresh':
      return { namespace, action: 'fresh', reason: '' };
    case 'skip':
      return { namespace, action: 'skip', reason: 'the namespace is being deleted' };
    case 'conflict':
      return {
        namespace,
        action: 'conflict',
        reason: describeConflict(target.reason, plan.secret),
      };
    case 'create':
    case 'renew':
      return undefined;
  }
}

async function applyTarget(
  target: DueTarget,
  manifest: string,
  content: SecretContent,
  options: ApplyOptions,
): Promise<Outcome> {
  const { namespace } = target;
  const force = target.action === 'renew' && target.force;
  try {
    const text =
      content.failed.length === 0 ? manifest : await reducedManifest(target, content, options);
    if (text === undefined) {
      return {
        namespace,
        action: target.action === 'create' ? 'fail' : 'keep',
        reason: `no login could be had for ${content.failed.join(', ')}`,
        lacking: content.failed,
      };
    }
    await options.cluster.applySecret({
      namespace,
      name: content.secret.name,
      manifest: text,
      force,
      dryRun: options.dryRun,
    });
    return {
      namespace,
      action: target.action,
      reason: describeDue(target.reason, options.now),
      ...(content.failed.length > 0 && { lacking: content.failed }),
    };
  } catch (error) {
    return failedOutcome(namespace, error);
  }
}

// The one case in which a Secret's data is read: what it still holds must not be lost.
async function reducedManifest(
  target: DueTarget,
  content: SecretContent,
  { cluster, now }: ApplyOptions,
): Promise<string | undefined> {
  if (content.issued.length === 0) return undefined;
  if (target.action === 'create') return secretManifest(content);
  const existing = await cluster.readDockerConfig(target.namespace, content.secret.name);
  const drifted = target.reason.kind === 'drifted' || target.reason.kind === 'taken-over';
  return secretManifest(
    content,
    keptEntries(content, existing ?? '', target.record, { drifted, now }),
  );
}

function failedOutcome(namespace: string, error: unknown): Outcome {
  if (!(error instanceof ClusterError)) throw error;
  const { reason, message } = error;
  if (reason === 'terminating') {
    return { namespace, action: 'skip', reason: 'the namespace is being deleted' };
  }
  const conflict = reason === 'conflict' || reason === 'immutable';
  return { namespace, action: conflict ? 'conflict' : 'fail', reason: message };
}
