import { applyAttachments } from './apply.ts';
import type { ApplyOptions, Outcome } from './apply.ts';
import { ClusterError } from './cluster.ts';
import { planAttachment } from './plan.ts';
import type { PlannedAttachment, SecretPlan } from './plan.ts';
import type { ObjectOutcomes } from './report.ts';
import { findServiceAccounts } from './survey.ts';

/** Makes the ServiceAccounts that the configuration names use the Secrets that are there. */
export async function attachSecrets(
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
    const existing = await findServiceAccounts(account, namespaces, options.cluster);
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
