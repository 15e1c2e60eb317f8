import { readFile, readdir } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const files = (await readdir('src', { recursive: true })).filter((file) => file.endsWith('.ts'));
const imports = new Map(
  await Promise.all(
    files.map(async (file): Promise<[string, readonly string[]]> => {
      const source = await readFile(join('src', file), 'utf8');
      const found = [...source.matchAll(/(?:from|import\()\s*'([^']+)'/g)];
      return [file, found.map(([, name = '']) => name)];
    }),
  ),
);

const local = (file: string): readonly string[] =>
  (imports.get(file) ?? [])
    .filter((name) => name.startsWith('.'))
    .map((name) => normalize(join(dirname(file), name)));

const importersOf = (pattern: RegExp): readonly string[] =>
  files.filter((file) => imports.get(file)?.some((name) => pattern.test(name))).toSorted();

describe('the import graph', () => {
  it.each([
    [/^@kubernetes\/client-node/, ['kubernetes.ts']],
    [/^@aws-sdk\//, ['providers/ecr.ts']],
    [/^@azure\//, ['providers/acr-identity.ts', 'providers/acr.ts']],
    [/^google-auth-library/, ['providers/gcr.ts']],
    [/^commander/, ['cli.ts']],
    [/main\.ts$/, []],
  ])('has %s in its own files only', (pattern, expected) => {
    expect(importersOf(pattern)).toEqual(expected);
  });

  it('loads the SDKs of the clouds only when they are asked', async () => {
    for (const file of files.filter((name) => name.startsWith('providers/'))) {
      const source = await readFile(join('src', file), 'utf8');
      const eager = /^import (?!type)[^;]*from '(@aws-sdk|@azure|google-auth-library)/m;
      expect([file, eager.test(source)]).toEqual([file, false]);
    }
  });

  it('has no provider that knows Kubernetes or the run', () => {
    const known = new Set(['errors.ts', 'provider.ts', 'reference.ts', 'registry.ts']);
    for (const file of files.filter((name) => /^providers\/(?!index)/.test(name))) {
      const others = local(file).filter(
        (name) => !known.has(name) && !name.startsWith('providers/'),
      );
      expect([file, others]).toEqual([file, []]);
    }
  });

  it('has no cycle', () => {
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      expect(path).not.toContain(file);
      if (done.has(file)) return;
      for (const next of local(file)) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
  });
});
