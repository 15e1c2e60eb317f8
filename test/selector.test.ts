import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSelector, selects } from '../src/selector.ts';

const labels = { team: 'a', 'example.com/tier': 'gold', empty: '' };

describe('label selectors', () => {
  it.each([
    ['team=a', true],
    ['team==a', true],
    ['team = a', true],
    ['team!=a', false],
    ['absent!=a', true],
    ['team in (a, b)', true],
    ['team notin (a,b)', false],
    ['absent notin (a)', true],
    ['example.com/tier', true],
    ['!example.com/tier', false],
    ['!absent', true],
    ['empty=', true],
    ['team=a,example.com/tier in (gold,silver),!absent', true],
    ['team=a,absent', false],
    ['constructor', false],
  ])('%s is %s', (text, expected) => {
    expect(selects(parseSelector(text), labels)).toBe(expected);
  });

  it.each(['', 'a b', '=x', 'team=a b', 'team in a', 'team in (a', '-x=1', 'a=b,,c=d'])(
    'refuses %j',
    (text) => {
      expect(() => parseSelector(text)).toThrow(SyntaxError);
    },
  );

  it('ends with a selector or a SyntaxError, quickly, for any text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        try {
          parseSelector(text);
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError);
        }
      }),
    );
  });
});
