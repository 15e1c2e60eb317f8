import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';
import { matchesGlob } from '../src/glob.ts';
import { literalNamespaces, selectTargets } from '../src/targets.ts';
import { testProviders } from './fakes/provider.ts';

const namespace = (name: string, labels = {}, terminating = false) => ({
  name,
  labels,
  terminating,
});
const all = [
  namespace('default'),
  namespace('kube-system'),
  namespace('team-a', { access: 'yes' }),
  namespace('team-b'),
  namespace('team-legacy', { access: 'yes' }),
];

function targetsOf(namespaces: unknown): readonly string[] {
  const { secrets } = parseConfig({ registries: ['test.example.com'], namespaces }, testProviders);
  return selectTargets(secrets, all).flatMap((t) => t.namespaces.map(({ name }) => name));
}

describe('selectTargets', () => {
  it.each([
    ['all but the system', ['*'], ['default', 'team-a', 'team-b', 'team-legacy']],
    ['a system namespace that is named', ['kube-system'], ['kube-system']],
    ['no system namespace by pattern', ['kube-*'], []],
    ['globs', ['team-?'], ['team-a', 'team-b']],
    ['exclusions', { include: ['team-*'], exclude: ['*-legacy'] }, ['team-a', 'team-b']],
    ['a selector', { include: ['*'], selector: 'access=yes' }, ['team-a', 'team-legacy']],
    ['a selector for named ones too', { include: ['team-b'], selector: 'access' }, []],
  ])('selects %s', (_case, namespaces, expected) => {
    expect(targetsOf(namespaces)).toEqual(expected);
  });

  it('refuses two entries that meet in a namespace, once the namespaces are known', () => {
    const { secrets } = parseConfig(
      {
        registries: ['test.example.com'],
        secrets: [
          { name: 'pull', namespaces: ['team-*'] },
          { name: 'pull', namespaces: ['*-a'] },
        ],
      },
      testProviders,
    );
    expect(() => selectTargets(secrets, all)).toThrow(
      'secrets[1].namespaces: secrets[0] also writes a Secret called pull in namespace team-a',
    );
  });
});

function literalsOf(namespaces: unknown): readonly string[] | undefined {
  const { secrets } = parseConfig({ registries: ['test.example.com'], namespaces }, testProviders);
  return literalNamespaces(secrets);
}

describe('literalNamespaces', () => {
  it('is the union of the names, or unknown where a pattern or a selector stands', () => {
    expect(literalsOf(['b', 'a'])).toEqual(['a', 'b']);
    expect(literalsOf(['a', 'b*'])).toBeUndefined();
    expect(literalsOf({ include: ['a'], selector: 'x' })).toBeUndefined();
  });
});

describe('matchesGlob', () => {
  it('fits every name that a pattern was made from', () => {
    const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
    fc.assert(
      fc.property(name, fc.nat(), fc.nat(), (text, start, length) => {
        const from = start % text.length;
        const to = Math.min(text.length, from + (length % 5));
        expect(matchesGlob(`${text.slice(0, from)}*${text.slice(to)}`, text)).toBe(true);
        expect(matchesGlob(text, text)).toBe(true);
        expect(matchesGlob(text, `${text}x`)).toBe(false);
      }),
    );
  });

  it('is quick for a pattern of many stars', () => {
    expect(matchesGlob(`${'*'.repeat(60)}b`, 'a'.repeat(63))).toBe(false);
  });
});
