/**
 * Whether a namespace's name fits a pattern in which `*` stands for any run of characters and `?`
 * for one.
 */
export function matchesGlob(pattern: string, name: string): boolean {
  return compile(pattern).test(name);
}

/** Whether a pattern names exactly one namespace. */
export function isLiteral(pattern: string): boolean {
  return !/[*?]/.test(pattern);
}

const compiled = new Map<string, RegExp>();

function compile(pattern: string): RegExp {
  let expression = compiled.get(pattern);
  if (expression === undefined) {
    // Runs of stars are one star: nested repetition would make matching slow.
    const source = pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replace(/\*+/g, '.*')
      .replace(/\?/g, '.');
    expression = new RegExp(`^${source}$`, 's');
    compiled.set(pattern, expression);
  }
  return expression;
}
