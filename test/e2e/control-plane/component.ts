import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often a starting component is asked whether it is ready, and for how long, in milliseconds. */
const POLL_MS = 25;
const START_MS = 90_000;

/** One running process of the control plane. */
export interface Component {
  readonly name: string;
  readonly pid: number;
  readonly running: boolean;
  signal(signal: NodeJS.Signals): void;
  /** Kills the process, as a crash would. */
  kill(): Promise<void>;
  /** Asks the process to end, and kills it when it has not after a grace in milliseconds. */
  stop(graceMs: number): Promise<void>;
  /** Waits until a probe holds. @throws Error with the end of the log when the process exits before */
  ready(probe: () => Promise<boolean>): Promise<void>;
}

/** Starts a program whose output goes to `NAME.log` in a folder, with no environment of the caller. */
export async function startComponent(
  name: string,
  path: string,
  args: readonly string[],
  folder: string,
): Promise<Component> {
  const logFile = join(folder, `${name}.log`);
  const log = await open(logFile, 'a');
  const child = spawn(path, args, {
    cwd: folder,
    env: { HOME: folder, PATH: process.env['PATH'] },
    stdio: ['ignore', log.fd, log.fd],
  });
  try {
    await once(child, 'spawn');
  } finally {
    // The child has a descriptor of its own.
    await log.close();
  }
  return {
    name,
    pid: child.pid ?? 0,
    get running() {
      return isRunning(child);
    },
    signal: (signal) => void child.kill(signal),
    kill: () => kill(child),
    stop: (graceMs) => stop(child, graceMs),
    ready: (probe) => becomeReady(child, name, logFile, probe),
  };
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function kill(child: ChildProcess): Promise<void> {
  if (!isRunning(child)) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function stop(child: ChildProcess, graceMs: number): Promise<void> {
  if (!isRunning(child)) return;
  const exited = once(child, 'exit');
  // A process that a test has stopped hears SIGTERM only once it goes on.
  child.kill('SIGCONT');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await exited;
  clearTimeout(timer);
}

async function becomeReady(
  child: ChildProcess,
  name: string,
  logFile: string,
  probe: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + START_MS;
  while (!(await probe().catch(() => false))) {
    if (!isRunning(child)) {
      const how = child.signalCode ?? `code ${child.exitCode}`;
      throw new Error(`${name} ended with ${how} before it was ready:\n${await tail(logFile)}`);
    }
    if (performance.now() > deadline) {
      throw new Error(`${name} was not ready in ${START_MS / 1000} s:\n${await tail(logFile)}`);
    }
    await sleep(POLL_MS);
  }
}

async function tail(logFile: string): Promise<string> {
  return (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-20).join('\n');
}
