import type { NamespaceState, SecretState, ServiceAccountState } from './cluster.ts';
import type { ConfiguredSecret } from './config.ts';
import { isDue, isExpired } from './due.ts';
import { readRecord } from './ownership.ts';
import type { SecretRecord } from './ownership.ts';

/** Why a Secret is written. */
export type DueReason =
  | { readonly kind: 'missing' | 'reconfigured' | 'requested' | 'aging' }
  | { readonly kind: 'incomplete'; readonly registries: readonly string[] }
  | { readonly kind: 'expired'; readonly since: Date }
  | { readonly kind: 'drifted' | 'taken-over'; readonly managers: readonly string[] };

/** Why a Secret of the wanted name is left alone. */
export type ConflictReason =
  | { readonly kind: 'foreign'; readonly managers: readonly string[] }
  | { readonly kind: 'instance'; readonly instance: string };

/** What is to be done about one Secret in one namespace. */
export type PlannedSecret = { readonly namespace: string } & (
  | { readonly action: 'create'; readonly reason: DueReason }
  | {
      readonly action: 'renew';
      readonly reason: DueReason;
      readonly force: boolean;
      readonly record: SecretRecord;
    }
  | { readonly action: 'fresh'; readonly record: SecretRecord }
  | { readonly action: 'conflict'; readonly reason: ConflictReason }
  | { readonly action: 'skip' }
);

/** The plan of one configured Secret. */
export interface SecretPlan {
  readonly secret: ConfiguredSecret;
  readonly revision: string | undefined;
  readonly targets: readonly PlannedSecret[];
  /** Namespaces in which a Secret of ours lies that no longer belongs there. */
  readonly orphans: readonly string[];
}

/** What a Secret is compared with. */
export interface PlanInput {
  readonly secret: ConfiguredSecret;
  /** Namespaces in which it belongs. */
  readonly namespaces: readonly NamespaceState[];
  /** All Secrets of its name, wherever they lie. */
  readonly existing: readonly SecretState[];
  /** Namespaces in which another entry wants a Secret of the same name. */
  readonly claimedElsewhere: ReadonlySet<string>;
  readonly instance: string;
  /** `undefined` where a static login could not be read, so that a change cannot be told. */
  readonly revision: string | undefined;
  readonly now: Date;
  readonly forceRenew: boolean;
}

/** Compares what should exist with what does. Pure. */
export function planSecret(input: PlanInput): SecretPlan {
  const existing = new Map(input.existing.map((state) => [state.namespace, state]));
  const targets = input.namespaces.map((namespace) =>
    planTarget(namespace, existing.get(namespace.name), input),
  );
  const wanted = new Set(input.namespaces.map(({ name }) => name));
  const orphans = input.existing
    .filter(
      ({ namespace, annotations }) =>
        !wanted.has(namespace) &&
        !input.claimedElsewhere.has(namespace) &&
        readRecord(annotations).instance === input.instance,
    )
    .map(({ namespace }) => namespace);
  return { secret: input.secret, revision: input.revision, targets, orphans };
}

/** What is to be done about one ServiceAccount in one namespace. */
export interface PlannedAttachment {
  readonly account: ServiceAccountState;
  /** The wanted Secrets that it does not name yet; empty where all is well. */
  readonly missing: readonly string[];
}

/** Compares a ServiceAccount's pull Secrets with those that it should have. Pure. */
export function planAttachment(
  account: ServiceAccountState,
  wanted: readonly string[],
): PlannedAttachment {
  return { account, missing: wanted.filter((name) => !account.imagePullSecrets.includes(name)) };
}

function planTarget(
  { name: namespace, terminating }: NamespaceState,
  state: SecretState | undefined,
  input: PlanInput,
): PlannedSecret {
  if (terminating) return { namespace, action: 'skip' };
  if (state === undefined) return { namespace, action: 'create', reason: { kind: 'missing' } };
  const record = readRecord(state.annotations);
  if (record.instance !== input.instance) return planForeign(state, record, input);
  const reason = dueReason(state, record, input);
  return reason === undefined
    ? { namespace, action: 'fresh', record }
    : { namespace, action: 'renew', reason, force: reason.kind === 'drifted', record };
}

function planForeign(
  { namespace, otherManagers }: SecretState,
  record: SecretRecord,
  { secret }: PlanInput,
): PlannedSecret {
  const { instance } = record;
  if (secret.onConflict === 'force') {
    const managers = instance === undefined ? otherManagers : [instance];
    return {
      namespace,
      action: 'renew',
      reason: { kind: 'taken-over', managers },
      force: true,
      record,
    };
  }
  const reason: ConflictReason =
    instance === undefined
      ? { kind: 'foreign', managers: otherManagers }
      : { kind: 'instance', instance };
  return { namespace, action: 'conflict', reason };
}

function dueReason(
  state: SecretState,
  record: SecretRecord,
  { secret, revision, now, forceRenew }: PlanInput,
): DueReason | undefined {
  if (!state.dataIsOurs) return { kind: 'drifted', managers: state.otherDataManagers };
  const registries = secret.credentials.flatMap((credential) => credential.registries);
  const lives = registries.flatMap((registry) => record.entries.get(registry) ?? []);
  const expired = lives.find((life) => isExpired(life, now));
  if (expired && expired.expiresAt !== 'never')
    return { kind: 'expired', since: expired.expiresAt };
  const absent = registries.filter((registry) => !record.entries.has(registry));
  if (record.revision === undefined) return { kind: 'incomplete', registries: absent };
  if (revision !== undefined && record.revision !== revision) return { kind: 'reconfigured' };
  if (absent.length > 0) return { kind: 'incomplete', registries: absent };
  if (forceRenew) return { kind: 'requested' };
  return lives.some((life) => isDue(life, now)) ? { kind: 'aging' } : undefined;
}
