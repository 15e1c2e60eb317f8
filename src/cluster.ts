import type { Labels } from './selector.ts';

/** A namespace as far as a run needs it. */
export interface NamespaceState {
  readonly name: string;
  readonly labels: Labels;
  /** It is being deleted and accepts nothing new. */
  readonly terminating: boolean;
}

/** A Secret's metadata; its data is never listed. */
export interface SecretState {
  readonly namespace: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Every field manager but ours, as `metadata.managedFields` names them. */
  readonly otherManagers: readonly string[];
  /** The others among them that set the data: whoever wrote it last. */
  readonly otherDataManagers: readonly string[];
  /** Whether the data is still what we applied: another writer takes the field from us. */
  readonly dataIsOurs: boolean;
}

/** A ServiceAccount as far as attaching needs it. */
export interface ServiceAccountState {
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
  readonly imagePullSecrets: readonly string[];
}

/** One server-side apply. */
export interface SecretWrite {
  readonly namespace: string;
  readonly name: string;
  /** The manifest as JSON; the same text serves every namespace. */
  readonly manifest: string;
  /** Take over fields that others set. */
  readonly force: boolean;
  readonly dryRun: boolean;
}

/**
 * What a run asks of a cluster. Every method rejects with a `ClusterError`.
 * `namespaces` limits a list to these; without it, the list spans the cluster.
 */
export interface Cluster {
  listNamespaces(): Promise<readonly NamespaceState[]>;
  listSecrets(name: string, namespaces?: readonly string[]): Promise<readonly SecretState[]>;
  listServiceAccounts(
    name: string,
    namespaces?: readonly string[],
  ): Promise<readonly ServiceAccountState[]>;
  /** The Secret's `.dockerconfigjson`, decoded; `undefined` where there is none. */
  readDockerConfig(namespace: string, name: string): Promise<string | undefined>;
  applySecret(write: SecretWrite): Promise<void>;
  /** Adds pull Secrets to a ServiceAccount, keeping what others put there. */
  attach(
    account: ServiceAccountState,
    secrets: readonly string[],
    options: { readonly dryRun: boolean },
  ): Promise<void>;
}

/**
 * Why the cluster did not do it:
 * - `conflict`: another field manager owns a field; `immutable`: the object cannot become this.
 * - `terminating`: the namespace is being deleted; `missing`: it is not there.
 * - `forbidden`: the identity lacks a right, or admission refused; `unauthorized`: it is not known.
 * - `unavailable`: no answer, or none but errors, after all retries; `invalid`: anything else.
 */
export type ClusterErrorReason =
  | 'conflict'
  | 'immutable'
  | 'terminating'
  | 'missing'
  | 'forbidden'
  | 'unauthorized'
  | 'unavailable'
  | 'invalid';

/** The cluster's refusal or silence, in one line that holds no secret. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError';
  readonly reason: ClusterErrorReason;

  constructor(reason: ClusterErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
