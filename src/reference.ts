import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { ProviderError } from './errors.ts';
import type { FetchContext } from './provider.ts';

const RULE =
  'must be a reference, {env: VARIABLE} or {file: PATH}; a secret value does not belong in the configuration';

/**
 * Where a secret value lies. The value itself is refused without repeating it, so that a pasted
 * password never reaches an error message.
 */
export const secretReferenceSchema = z
  .union(
    [
      z.strictObject({ env: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/) }),
      z.strictObject({ file: z.string().min(1) }),
    ],
    { error: RULE },
  )
  .meta({ description: 'Where the value lies: an environment variable or a file' });

/** An environment variable or a file that holds a secret value. */
export type SecretReference = z.infer<typeof secretReferenceSchema>;

/** A value read from a reference; `trimmed` tells that line ends at its end were left out. */
export interface ReferencedValue {
  readonly value: string;
  readonly trimmed: boolean;
}

/**
 * Reads a reference now, so that a file rotated by another controller counts from the next run on.
 * @throws ProviderError `unconfigured` naming the variable or file, never its content
 */
export async function readReference(
  reference: SecretReference,
  { env, signal }: FetchContext,
): Promise<ReferencedValue> {
  const written =
    'env' in reference
      ? readVariable(reference.env, env)
      : await readSecretFile(reference.file, signal);
  const value = written.replace(/[\r\n]+$/, '');
  if (value === '') {
    throw new ProviderError('unconfigured', `${describeReference(reference)} is empty`);
  }
  return { value, trimmed: value !== written };
}

/** A reference as a person would name it: `file /etc/hub/password`, `variable HUB_PASSWORD`. */
export function describeReference(reference: SecretReference): string {
  return 'env' in reference ? `variable ${reference.env}` : `file ${reference.file}`;
}

function readVariable(name: string, env: FetchContext['env']): string {
  const value = env[name];
  if (value === undefined) {
    throw new ProviderError('unconfigured', `variable ${name} is not set`);
  }
  return value;
}

async function readSecretFile(path: string, signal: AbortSignal): Promise<string> {
  try {
    return await readFile(path, { encoding: 'utf8', signal });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new ProviderError('unconfigured', `file ${path} cannot be read (${code})`, { cause });
  }
}
