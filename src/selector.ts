/** One requirement of a label selector. */
interface Requirement {
  readonly key: string;
  readonly operator: 'in' | 'notin' | 'exists' | 'absent';
  readonly values: readonly string[];
}

/** Labels of an object. */
export type Labels = Readonly<Record<string, string>>;

/** A parsed label selector: every requirement must hold. */
export type Selector = readonly Requirement[];

const KEY = String.raw`(?:[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?`;
const VALUE = String.raw`(?:[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?`;
const SET = new RegExp(`^(?<key>${KEY})\\s+(?<operator>in|notin)\\s*\\((?<values>[^()]*)\\)$`);
const EQUALITY = new RegExp(`^(?<key>${KEY})\\s*(?<operator>==?|!=)\\s*(?<value>${VALUE})$`);
const EXISTENCE = new RegExp(`^(?<not>!\\s*)?(?<key>${KEY})$`);
const WHOLE_VALUE = new RegExp(`^${VALUE}$`);

/**
 * Parses a label selector as kubectl's `-l` takes it.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
 * @throws SyntaxError naming the requirement that is not one
 */
export function parseSelector(text: string): Selector {
  // Commas inside parentheses separate values, the others requirements.
  return text.split(/,(?![^()]*\))/).map((part) => parseRequirement(part.trim()));
}

/** Whether labels satisfy a selector. As in Kubernetes, `!=` and `notin` hold where the key is absent. */
export function selects(selector: Selector, labels: Labels): boolean {
  return selector.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'in':
        return value !== undefined && values.includes(value);
      case 'notin':
        return value === undefined || !values.includes(value);
      case 'exists':
        return value !== undefined;
      case 'absent':
        return value === undefined;
    }
  });
}

function parseRequirement(text: string): Requirement {
  const set = SET.exec(text)?.groups;
  if (set) {
    const values = (set.values ?? '').split(',').map((value) => value.trim());
    if (values.every((value) => WHOLE_VALUE.test(value))) {
      return { key: set.key ?? '', operator: set.operator === 'in' ? 'in' : 'notin', values };
    }
  }
  const equality = EQUALITY.exec(text)?.groups;
  if (equality) {
    const operator = equality.operator === '!=' ? 'notin' : 'in';
    return { key: equality.key ?? '', operator, values: [equality.value ?? ''] };
  }
  const existence = EXISTENCE.exec(text)?.groups;
  if (existence) {
    const operator = existence.not === undefined ? 'exists' : 'absent';
    return { key: existence.key ?? '', operator, values: [] };
  }
  throw new SyntaxError(
    `"${text}" is not a label requirement such as team=a, tier in (x, y) or !legacy`,
  );
}
