import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { main } from '../src/cli.ts';
import type { ProgramProcess } from '../src/cli.ts';
import { CANARY } from './fakes/provider.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rtr-'));
});

async function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const written = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof written) =>
    ({ isTTY: false, write: (text: string) => (written[name] += text) }) as never;
  const program: ProgramProcess = {
    argv: ['node', 'registry-token-refresher', ...args],
    env,
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    once: (() => undefined) as never,
  };
  const code = await main(program);
  return { code, ...written };
}

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe('the command line', () => {
  it('tells its version and how it is used', async () => {
    await expect(run(['--version'])).resolves.toMatchObject({
      code: 0,
      stdout: /^\d+\.\d+\.\d+\n$/,
    });
    const { code, stdout } = await run(['run', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/--dry-run[\s\S]*Examples:[\s\S]*Exit codes/);
  });

  it.each([
    [['--bogus'], /unknown option '--bogus'/],
    [['--timeout', 'soon'], /expected a whole number/],
    [['--output', 'xml'], /expected text or json/],
    [[], /no configuration: pass --config FILE/],
    [['--config', '/nowhere/config.yaml'], /\/nowhere\/config.yaml: cannot be read \(ENOENT\)/],
  ])('refuses %j with exit code 2', async (args, message) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it('says where a file is not YAML, without quoting it', async () => {
    const path = await file('twice.yaml', `namespaces: ["*"]\nnamespaces: [${CANARY}]\n`);
    const { code, stderr } = await run(['--config', path]);
    expect(code).toBe(2);
    expect(stderr).toBe(`${path}:2:1: this key stands twice in its map\n`);
  });

  it.each([
    ['aliases that fill the memory', `a: &a [x, x]\n${bomb()}`],
    ['a file too large', `#${'x'.repeat(1_100_000)}`],
  ])('refuses %s', async (name, content) => {
    const { code, stderr } = await run(['--config', await file(`${name}.yaml`, content)]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/more than 100 aliases|larger than/);
  });

  it('reads the short form from the environment', async () => {
    const { code, stderr } = await run([], { REGISTRIES: 'quay.io, ghcr.io', NAMESPACES: '*' });
    expect(code).toBe(2);
    expect(stderr).toMatch(/registries\[0\]: quay.io.*\nregistries\[1\]: ghcr.io/);
  });

  it('refuses a filter for a registry that is not configured', async () => {
    const env = { REGISTRIES: 'example.azurecr.io', NAMESPACES: '*' };
    await expect(run(['--registry', 'other.azurecr.io'], env)).resolves.toMatchObject({
      code: 2,
      stderr: '--registry: other.azurecr.io is not configured\n',
    });
  });

  it('ends with 3, at once, when there is no cluster to be reached', async () => {
    const env = { REGISTRIES: 'example.azurecr.io', NAMESPACES: '*' };
    const kubeconfig = await file('kubeconfig', 'clusters: []\n');
    const { code, stderr } = await run(['--kubeconfig', kubeconfig], env);
    expect(code).toBe(3);
    expect(stderr).toMatch(/nothing was done/);
  });

  it('writes JSON lines in a Pod', async () => {
    const { stderr } = await run([], { KUBERNETES_SERVICE_HOST: '10.0.0.1' });
    expect(JSON.parse(stderr)).toMatchObject({ level: 'error', message: 'wrong input' });
  });
});

function bomb(): string {
  const levels = 'bcdefgh'.split('');
  return levels
    .map((name, index) => {
      const before = index === 0 ? 'a' : levels[index - 1];
      return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(', ')}]`;
    })
    .join('\n');
}
