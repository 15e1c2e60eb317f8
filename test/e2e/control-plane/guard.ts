import { spawn } from 'node:child_process';

/** Watches over processes for the case that this one dies without a chance to end them. */
export interface Guard {
  /** Says which processes are to die with this one; replaces what was said before. */
  protect(pids: readonly number[]): void;
  /** Ends the watch. */
  release(): void;
}

/**
 * Reads lists of process ids until its input ends, which happens however the parent died (SIGKILL
 * too). A shell is in every Unix; `prctl(PR_SET_PDEATHSIG)` is out of Node's reach.
 */
const SCRIPT = `
while read -r line; do pids=$line; done
[ -z "$pids" ] || kill -KILL $pids
rm -rf "$0"
`;

/** Starts a guard which, when this process dies, kills what it protects and removes a folder. */
export function startGuard(folder: string): Guard {
  const shell = spawn('/bin/sh', ['-c', SCRIPT, folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // In a group of its own, so that a Ctrl-C in the terminal does not end the guard first.
    detached: true,
  });
  shell.unref();
  shell.stdin.on('error', () => {});
  return {
    protect: (pids) => void shell.stdin.write(`${pids.join(' ')}\n`),
    release: () => void shell.stdin.end('\n'),
  };
}
