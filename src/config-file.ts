import { open } from 'node:fs/promises';
import { LineCounter, parseDocument } from 'yaml';
import { ConfigError } from './errors.ts';

/** The largest configuration file that is read, in bytes: a real one has some kilobytes. */
const MAX_BYTES = 1_048_576;

/**
 * How many aliases a file may unfold to, so that a small file cannot fill the memory.
 * https://en.wikipedia.org/wiki/Billion_laughs_attack
 */
const MAX_ALIASES = 100;

/** What the file says, or the environment where there is no file. */
export interface WrittenConfig {
  readonly input: unknown;
  /** Where it came from, for the report and for errors. */
  readonly origin: string;
}

/**
 * Reads the configuration: the file named on the command line, else the one that `CONFIG` names,
 * else the short form from `REGISTRIES`, `NAMESPACES`, `SECRET_NAME` and `SERVICE_ACCOUNTS`.
 * @throws ConfigError if there is none, or it is not readable YAML
 */
export async function readConfig(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<WrittenConfig> {
  const path = file ?? (env.CONFIG || undefined);
  if (path !== undefined) return { input: parseYaml(path, await readText(path)), origin: path };
  const input = fromEnvironment(env);
  if (Object.keys(input).length === 0) {
    throw new ConfigError([
      {
        path: '',
        message:
          'no configuration: pass --config FILE, set CONFIG, or set REGISTRIES and NAMESPACES',
      },
    ]);
  }
  return { input, origin: 'environment' };
}

function fromEnvironment(env: Readonly<Record<string, string | undefined>>): object {
  const { REGISTRIES, NAMESPACES, SECRET_NAME, SERVICE_ACCOUNTS } = env;
  return {
    ...(REGISTRIES && { registries: commaList(REGISTRIES) }),
    ...(NAMESPACES && { namespaces: commaList(NAMESPACES) }),
    ...(SECRET_NAME && { secretName: SECRET_NAME.trim() }),
    ...(SERVICE_ACCOUNTS && { serviceAccounts: commaList(SERVICE_ACCOUNTS) }),
  };
}

function commaList(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

async function readText(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > MAX_BYTES) {
      throw new ConfigError([
        { path, message: `is larger than ${MAX_BYTES} bytes; is it a configuration?` },
      ]);
    }
    return await file.readFile('utf8');
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new ConfigError([{ path, message: `cannot be read (${code})` }]);
  }
}

// The library's own messages quote the file's lines, which may hold a pasted password.
function parseYaml(path: string, text: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    throw new ConfigError(
      document.errors.map(({ code, pos }) => {
        const { line, col } = lines.linePos(pos[0]);
        return {
          path: `${path}:${line}:${col}`,
          message: YAML_RULES[code] ?? `is not YAML (${code})`,
        };
      }),
    );
  }
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    throw new ConfigError([{ path, message: `unfolds to more than ${MAX_ALIASES} aliases` }]);
  }
}

const YAML_RULES: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'this key stands twice in its map',
  TAB_AS_INDENT: 'indent with spaces, not with a tab',
  BAD_INDENT: 'the indentation does not fit the lines above',
  MULTIPLE_DOCS: 'holds more than one YAML document',
};
