import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Report } from '../../src/report.ts';

/** How one run of the built program ended. */
export interface ProgramRun {
  readonly code: number | null;
  readonly report: Report | undefined;
  readonly output: string;
}

/** Runs the built program as a user would, with JSON output and an environment of its own. */
export async function runProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  onStart: (stop: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<ProgramRun> {
  const child = spawn(process.execPath, ['dist/main.js', '--output', 'json', ...args], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onStart((signal) => child.kill(signal));
  const [stdout, stderr] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    child.exitCode ?? once(child, 'close'),
  ]);
  return {
    code: child.exitCode,
    report: stdout.startsWith('{') ? (JSON.parse(stdout) as Report) : undefined,
    output: `${stdout}\n${stderr}`,
  };
}

/** What a run did in each namespace, as `action: namespaces`, for one Secret or ServiceAccount. */
export function actionsOf(
  run: ProgramRun,
  name = 'registry-credentials',
): Readonly<Record<string, readonly string[]>> {
  if (run.report === undefined) throw new Error(`no report (exit code ${run.code}): ${run.output}`);
  const objects = [...run.report.secrets, ...run.report.serviceAccounts];
  const groups = objects.find((object) => object.name === name)?.groups ?? [];
  const actions: Record<string, string[]> = {};
  for (const { action, namespaces, count } of groups) {
    const names = namespaces.length > 0 ? namespaces : [`${count}`];
    actions[action] = [...(actions[action] ?? []), ...names].toSorted();
  }
  return actions;
}
