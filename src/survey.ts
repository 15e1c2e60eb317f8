import { ClusterError } from './cluster.ts';
import type { Cluster, NamespaceState, SecretState } from './cluster.ts';
import type { ConfiguredSecret } from './config.ts';
import { ConfigError } from './errors.ts';
import { literalNamespaces, selectTargets } from './targets.ts';
import type { SecretTargets } from './targets.ts';

/**
 * Finds the namespaces in which each Secret belongs.
 * @param only limits them to these, unless it is empty
 * @throws ConfigError for a name in `only` that is no target; ClusterError
 */
export async function findTargets(
  secrets: readonly ConfiguredSecret[],
  cluster: Cluster,
  only: readonly string[],
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

/**
 * Looks at all Secrets of a name. One list across the cluster also shows what no longer belongs;
 * without that right, or where only some namespaces are wanted, those are asked one by one.
 * @throws ClusterError
 */
export async function findSecrets(
  name: string,
  namespaces: readonly string[],
  cluster: Cluster,
  only: readonly string[],
): Promise<readonly SecretState[]> {
  if (only.length > 0) return await cluster.listSecrets(name, namespaces);
  return await widest(namespaces, (scope) => cluster.listSecrets(name, scope));
}

/** Looks at all ServiceAccounts of a name, as `findSecrets` does. @throws ClusterError */
export async function findServiceAccounts(
  name: string,
  namespaces: readonly string[],
  cluster: Cluster,
): ReturnType<Cluster['listServiceAccounts']> {
  return await widest(namespaces, (scope) => cluster.listServiceAccounts(name, scope));
}

async function widest<Found>(
  namespaces: readonly string[],
  list: (scope?: readonly string[]) => Promise<Found>,
): Promise<Found> {
  try {
    return await list();
  } catch (error) {
    if (isForbidden(error)) return await list(namespaces);
    throw error;
  }
}

function isForbidden(error: unknown): boolean {
  return error instanceof ClusterError && error.reason === 'forbidden';
}
