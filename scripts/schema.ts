import { readFile, writeFile } from 'node:fs/promises';
import { configJsonSchema } from '../src/config-schema.ts';
import { providers } from '../src/providers/index.ts';

// Writes config.schema.json, or with --check fails if it is not what the code says.
const FILE = new URL('../config.schema.json', import.meta.url);
const current = `${JSON.stringify(configJsonSchema(providers), undefined, 2)}\n`;

if (process.argv.includes('--check')) {
  if ((await readFile(FILE, 'utf8')) !== current) {
    console.error('config.schema.json is not current: npm run schema');
    process.exitCode = 1;
  }
} else {
  await writeFile(FILE, current);
}
