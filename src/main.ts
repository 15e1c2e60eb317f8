#!/usr/bin/env node
// This file runs on any Node, to say in one line that another one is needed. The dependencies
// themselves fail on import there, so everything else is loaded afterwards.
const NEEDED = [22, 21] as const;

/** How long what is left of a run may keep the process, in milliseconds. */
const LINGER_MS = 1_000;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  process.stderr.write(
    `registry-token-refresher needs Node.js ${NEEDED.join('.')} or newer; this is ${process.versions.node}\n`,
  );
  process.exitCode = 2;
} else {
  const { main } = await import('./cli.ts');
  process.exitCode = await main(process);
  // An SDK may leave a request hanging that nobody waits for any more; it must not hold the process.
  process.stdout.write('', () => setTimeout(() => process.exit(), LINGER_MS).unref());
}
