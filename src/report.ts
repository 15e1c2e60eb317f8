import type { Action, Outcome } from './apply.ts';
import type { Logins } from './credentials.ts';
import type { SecretPlan } from './plan.ts';

/** What became of all objects of one name. */
export interface ObjectOutcomes {
  readonly name: string;
  readonly outcomes: readonly Outcome[];
}

/** Everything that is known at the end of a run. */
export interface RunFacts {
  readonly instance: string;
  readonly dryRun: boolean;
  readonly stopped: boolean;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly plans: readonly SecretPlan[];
  readonly logins: Logins;
  readonly secrets: readonly ObjectOutcomes[];
  readonly serviceAccounts: readonly ObjectOutcomes[];
}

/** Namespaces to which the same happened for the same reason. */
export interface OutcomeGroup {
  readonly action: Action;
  readonly reason: string;
  readonly count: number;
  readonly namespaces: readonly string[];
}

/** One registry in the report. */
export interface ReportedRegistry {
  readonly credential: string;
  readonly registry: string;
  /** RFC 3339 in UTC, `never`, or `null` where nobody knows. */
  readonly expiresAt: string | null;
  /** Whether it was fetched in this run; else the time is read from the Secrets. */
  readonly fetched: boolean;
  readonly error?: string;
  readonly notice?: string;
}

/** A finished run, as `--output json` prints it. Holds no secret. */
export interface Report {
  readonly version: 1;
  readonly instance: string;
  readonly dryRun: boolean;
  readonly startedAt: string;
  readonly finishedAt: string;
  /** 0: all targets good; 1: some are not; 3: nothing could be done. */
  readonly exitCode: 0 | 1 | 3;
  readonly stopped: boolean;
  readonly registries: readonly ReportedRegistry[];
  readonly secrets: readonly { readonly name: string; readonly groups: readonly OutcomeGroup[] }[];
  readonly serviceAccounts: readonly {
    readonly name: string;
    readonly groups: readonly OutcomeGroup[];
  }[];
  /** How many Secrets and ServiceAccounts saw each action. */
  readonly counts: Readonly<Partial<Record<Action, number>>>;
}

const FAILURES: ReadonlySet<Action> = new Set(['keep', 'conflict', 'fail', 'stop']);

/** Puts a run's facts into the form that is printed. Pure. */
export function makeReport(facts: RunFacts): Report {
  const objects = [...facts.secrets, ...facts.serviceAccounts];
  return {
    version: 1,
    instance: facts.instance,
    dryRun: facts.dryRun,
    startedAt: facts.startedAt.toISOString(),
    finishedAt: facts.finishedAt.toISOString(),
    exitCode: exitCodeOf(facts),
    stopped: facts.stopped,
    registries: reportRegistries(facts),
    secrets: facts.secrets.map(groupOutcomes),
    serviceAccounts: facts.serviceAccounts.map(groupOutcomes),
    counts: countActions(objects.flatMap(({ outcomes }) => outcomes)),
  };
}

function exitCodeOf({ logins, secrets, serviceAccounts, stopped }: RunFacts): 0 | 1 | 3 {
  if (stopped) return 1;
  if (logins.failed.length > 0 && logins.issued.length === 0) return 3;
  const outcomes = [...secrets, ...serviceAccounts].flatMap((object) => object.outcomes);
  const failed =
    logins.failed.length > 0 ||
    outcomes.some(({ action, lacking }) => FAILURES.has(action) || lacking !== undefined);
  return failed ? 1 : 0;
}

function groupOutcomes({ name, outcomes }: ObjectOutcomes): {
  readonly name: string;
  readonly groups: readonly OutcomeGroup[];
} {
  const groups = new Map<string, { action: Action; reason: string; namespaces: string[] }>();
  for (const { namespace, action, reason, lacking } of outcomes) {
    const whole = [reason, lackText(action, lacking)].filter((part) => part !== '').join('; ');
    // An orphan's reason is a command for its own namespace.
    const key = `${action} ${whole}`;
    const group = groups.get(key) ?? { action, reason: whole, namespaces: [] };
    group.namespaces.push(namespace);
    groups.set(key, group);
  }
  const order = Object.keys(ORDER);
  return {
    name,
    groups: [...groups.values()]
      .toSorted((a, b) => order.indexOf(a.action) - order.indexOf(b.action))
      .map((group) => ({
        action: group.action,
        reason: group.reason,
        count: group.namespaces.length,
        // What is fresh needs no names: there may be ten thousand.
        namespaces: group.action === 'fresh' ? [] : group.namespaces.toSorted(),
      })),
  };
}

function lackText(action: Action, lacking: readonly string[] = []): string {
  if (lacking.length === 0) return '';
  if (action === 'create') return `without ${lacking.join(', ')}`;
  // What the Secret held for these registries is still in it, unless it had expired.
  return action === 'renew' ? `no new login for ${lacking.join(', ')}` : '';
}

const ORDER: Readonly<Record<Action, true>> = {
  create: true,
  renew: true,
  attach: true,
  conflict: true,
  fail: true,
  keep: true,
  stop: true,
  orphan: true,
  skip: true,
  fresh: true,
};

function countActions(outcomes: readonly Outcome[]): Readonly<Partial<Record<Action, number>>> {
  const counts: Partial<Record<Action, number>> = {};
  for (const { action } of outcomes) counts[action] = (counts[action] ?? 0) + 1;
  return counts;
}

function reportRegistries({ plans, logins }: RunFacts): readonly ReportedRegistry[] {
  const credentials = new Set(plans.flatMap(({ secret }) => secret.credentials));
  return [...credentials].flatMap(({ name, registries }) =>
    registries.map((registry): ReportedRegistry => {
      const issued = logins.issued.find(
        ({ credential, login }) => credential === name && login.registry === registry,
      );
      const failed = logins.failed.find(
        ({ credential, source }) =>
          credential.name === name && source.registries.includes(registry),
      );
      const expiresAt = issued?.login.expiresAt ?? earliestExpiry(plans, registry);
      return {
        credential: name,
        registry,
        expiresAt: expiresAt instanceof Date ? expiresAt.toISOString() : (expiresAt ?? null),
        fetched: issued !== undefined,
        ...(failed && { error: describeFailure(failed.error) }),
        ...(issued?.login.notice && { notice: issued.login.notice }),
      };
    }),
  );
}

function describeFailure({ reason, message, remedy }: Logins['failed'][number]['error']): string {
  return `${reason}: ${message}${remedy ? `; ${remedy}` : ''}`;
}

function earliestExpiry(
  plans: readonly SecretPlan[],
  registry: string,
): Date | 'never' | undefined {
  let earliest: Date | 'never' | undefined;
  for (const target of plans.flatMap(({ targets }) => targets)) {
    if (target.action !== 'fresh' && target.action !== 'renew') continue;
    const expiresAt = target.record.entries.get(registry)?.expiresAt;
    if (expiresAt === undefined) continue;
    if (earliest === undefined || earliest === 'never') earliest = expiresAt;
    else if (expiresAt !== 'never' && expiresAt < earliest) earliest = expiresAt;
  }
  return earliest;
}
