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
  // Serialised once: ten thousand namespaces get the same bytes.
  const manifest = secretManifest(content);
  const open: OpenTarget[] = [];
  for (const target of plan.targets) {
    const settled = settledOutcome(target);
    if (settled) outcomes.push(settled);
    else if (isOpen(target)) open.push(target);
  }
  let done = 0;
  const started = await forEachConcurrently(
    open,
    options.concurrency,
    options.signal,
    async (target) => {
      outcomes.push(
        target.action === 'conflict'
          ? await explainConflict(target, manifest, content, options)
          : await applyTarget(target, manifest, content, options),
      );
      done += 1;
      options.onProgress?.(done, open.length);
    },
  );
  for (const { namespace } of open.slice(started)) {
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
type ConflictTarget = Extract<PlannedSecret, { action: 'conflict' }>;
type OpenTarget = DueTarget | ConflictTarget;

function isOpen(target: PlannedSecret): target is OpenTarget {
  return settledOutcome(target) === undefined;
}

function settledOutcome({ namespace, action }: PlannedSecret): Outcome | undefined {
  switch (action) {
    case 'fresh':
      return { namespace, action, reason: '' };
    case 'skip':
      return { namespace, action, reason: 'the namespace is being deleted' };
    case 'conflict':
    case 'create':
    case 'renew':
      return undefined;
  }
}

// Metadata tells neither the type of a Secret nor whether it is immutable. A forced dry run does,
// and so whether `onConflict: force` would help at all.
async function explainConflict(
  { namespace, reason }: ConflictTarget,
  manifest: string,
  { secret }: SecretContent,
  { cluster }: ApplyOptions,
): Promise<Outcome> {
  const described = describeConflict(reason, secret);
  try {
    const { name } = secret;
    await cluster.applySecret({ namespace, name, manifest, force: true, dryRun: true });
    return { namespace, action: 'conflict', reason: `${described}, or set onConflict: force` };
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    return { namespace, action: 'conflict', reason: `${described} (${error.message})` };
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
