import { describe, expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';
import { configJsonSchema } from '../src/config-schema.ts';
import { ConfigError } from '../src/errors.ts';
import { providers } from '../src/providers/index.ts';
import { CANARY, testProviders } from './fakes/provider.ts';
import published from '../config.schema.json' with { type: 'json' };

function problemsOf(input: unknown): readonly string[] {
  try {
    parseConfig(input, testProviders);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
}

const valid = { registries: ['test.example.com'], namespaces: ['*'] };

describe('parseConfig', () => {
  it('unfolds the short form', () => {
    const { credentials, secrets } = parseConfig(valid, testProviders);
    expect(credentials.map(({ name, provider }) => [name, provider])).toEqual([
      ['test.example.com', 'test'],
    ]);
    expect(secrets).toMatchObject([
      { name: 'registry-credentials', serviceAccounts: [], onConflict: 'fail' },
    ]);
  });

  it('makes one entry of the short registries of one provider, so that they can share a call', () => {
    const { credentials } = parseConfig(
      { registries: ['a.example.com', 'b.example.com'], namespaces: ['*'] },
      testProviders,
    );
    expect(credentials.map(({ name, registries }) => [name, registries])).toEqual([
      ['test', ['a.example.com', 'b.example.com']],
    ]);
  });

  it('takes the known names of Docker Hub for its key', () => {
    const { credentials } = parseConfig(
      {
        ...valid,
        registries: undefined,
        credentials: [
          {
            name: 'hub',
            provider: 'basic',
            registries: ['docker.io'],
            username: 'me',
            password: { env: 'HUB' },
          },
        ],
      },
      testProviders,
    );
    expect(credentials[0]?.registries).toEqual(['https://index.docker.io/v1/']);
  });

  it.each<[string, unknown, RegExp]>([
    ['nothing', {}, /registries: no registry.*namespaces: is required/],
    ['an unknown key', { ...valid, namespace: ['a'] }, /Unrecognized key: "namespace"/],
    [
      'a scheme',
      { ...valid, registries: ['https://a.example.com'] },
      /registries\[0\]: write the host without a scheme/,
    ],
    [
      'an unknown host',
      { ...valid, registries: ['quay.io'] },
      /registries\[0\]: quay.io does not tell its provider/,
    ],
    [
      'a registry twice',
      { ...valid, registries: ['a.example.com', 'a.example.com'] },
      /registries: names a registry twice/,
    ],
    ['a bad namespace', { ...valid, namespaces: ['Team'] }, /namespaces.*is not a namespace/],
    [
      'a bad selector',
      { ...valid, namespaces: { selector: 'a b' } },
      /"a b" is not a label requirement/,
    ],
    [
      'an unknown provider',
      { credentials: [{ name: 'x', provider: 'nope', registries: ['a'] }], namespaces: ['*'] },
      /credentials\[0\].provider: is not a provider; known are test, basic/,
    ],
    [
      'an unknown credential',
      {
        registries: ['a.example.com'],
        secrets: [{ name: 's', credentials: ['prod'], namespaces: ['*'] }],
      },
      /secrets\[0\].credentials\[0\]: no credential is called prod/,
    ],
    [
      'two logins for one registry in a Secret',
      {
        credentials: [
          { name: 'one', registries: ['a.example.com'] },
          { name: 'two', registries: ['a.example.com'] },
        ],
        namespaces: ['*'],
      },
      /secrets\[0\].credentials: one and two both log in to a.example.com/,
    ],
    [
      'two entries for one Secret',
      {
        registries: ['a.example.com'],
        secrets: [
          { name: 's', namespaces: ['x'] },
          { name: 's', namespaces: ['*'] },
        ],
      },
      /secrets\[1\].namespaces: another entry writes a Secret called s in namespace x/,
    ],
    [
      'short and long form mixed',
      { ...valid, secrets: [{ name: 's', namespaces: ['*'] }] },
      /namespaces: belongs to the short form/,
    ],
  ])('refuses %s', (_case, input, expected) => {
    expect(problemsOf(input).join(' ')).toMatch(expected);
  });

  it('reports the problems of all entries at once, each with its path', () => {
    const problems = problemsOf({
      registries: ['quay.io', 'ghcr.io'],
      credentials: [{ name: 'x', provider: 'nope' }],
    });
    expect(problems.map((problem) => problem.split(':')[0])).toEqual([
      'namespaces',
      'registries[0]',
      'registries[1]',
      'credentials[0].provider',
    ]);
  });

  it('reports problems of form and of meaning in one go', () => {
    const problems = problemsOf({ namespace: [], namespaces: ['Bad'], registries: ['quay.io'] });
    expect(problems.map((problem) => problem.split(': ')[0])).toEqual([
      'namespaces[0]',
      '',
      'registries[0]',
    ]);
  });

  it.each([[null], [[]], ['text'], [42], [{ __proto__: null }], [{ credentials: [null] }]])(
    'answers %j with problems, never with a crash',
    (input) => {
      expect(problemsOf(input)).not.toEqual([]);
    },
  );

  it('refuses a secret value where a reference belongs, without repeating it', () => {
    const problems = problemsOf({
      credentials: [
        { name: 'x', provider: 'basic', registries: ['quay.io'], username: 'u', password: CANARY },
      ],
      namespaces: ['*'],
    });
    expect(problems.join(' ')).toMatch(/credentials\[0\].password: must be a reference/);
    expect(problems.join(' ')).not.toContain(CANARY);
  });
});

describe('config.schema.json', () => {
  it('is current (npm run schema)', () => {
    expect(published).toEqual(JSON.parse(JSON.stringify(configJsonSchema(providers))));
  });
});
