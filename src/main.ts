#!/usr/bin/env node
// This file runs on any Node, to say in one line that another one is needed. The dependencies
// themselves fail on import there, so everything else is loaded afterwards.
const NEEDED = [22, 21] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  process.stderr.write(
    `registry-token-refresher needs Node.js ${NEEDED.join('.')} or newer; this is ${process.versions.node}\n`,
  );
  process.exitCode = 2;
} else {
  const { main } = await import('./cli.ts');
  process.exitCode = await main(process);
}
