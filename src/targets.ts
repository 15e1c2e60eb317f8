import type { NamespaceState } from './cluster.ts';
import { selectsName } from './config.ts';
import type { ConfiguredSecret } from './config.ts';
import { ConfigError } from './errors.ts';
import { isLiteral } from './glob.ts';
import { selects } from './selector.ts';

/** The namespaces of one configured Secret. */
export interface SecretTargets {
  readonly secret: ConfiguredSecret;
  readonly namespaces: readonly NamespaceState[];
}

/**
 * Says where each configured Secret belongs.
 * @throws ConfigError where two entries would write the same Secret into the same namespace
 */
export function selectTargets(
  secrets: readonly ConfiguredSecret[],
  namespaces: readonly NamespaceState[],
): readonly SecretTargets[] {
  const targets = secrets.map((secret) => ({
    secret,
    namespaces: namespaces.filter((namespace) => isSelected(secret, namespace)),
  }));
  refuseRivals(targets);
  return targets;
}

/**
 * The namespaces that a configuration names one by one, or `undefined` where it has a pattern or a
 * selector and the cluster must be asked.
 */
export function literalNamespaces(
  secrets: readonly ConfiguredSecret[],
): readonly string[] | undefined {
  const literal = secrets.every(
    ({ namespaces }) =>
      namespaces.selector === undefined && namespaces.include.every((name) => isLiteral(name)),
  );
  return literal
    ? [...new Set(secrets.flatMap(({ namespaces }) => namespaces.include))].toSorted()
    : undefined;
}

function isSelected({ namespaces }: ConfiguredSecret, { name, labels }: NamespaceState): boolean {
  return (
    selectsName(namespaces, name) &&
    (namespaces.selector === undefined || selects(namespaces.selector, labels))
  );
}

function refuseRivals(targets: readonly SecretTargets[]): void {
  const owners = new Map<string, number>();
  const problems = targets.flatMap(({ secret, namespaces }, index) =>
    namespaces.flatMap(({ name }) => {
      const key = `${name}/${secret.name}`;
      const owner = owners.get(key);
      owners.set(key, owner ?? index);
      return owner === undefined
        ? []
        : [
            {
              path: `secrets[${index}].namespaces`,
              message: `secrets[${owner}] also writes a Secret called ${secret.name} in namespace ${name}`,
            },
          ];
    }),
  );
  if (problems.length > 0) throw new ConfigError(problems.slice(0, 10));
}
