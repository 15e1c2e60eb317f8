import * as z from 'zod';
import { API_VERSION, defineProvider } from '../provider.ts';
import type { FetchContext, RegistryCredential } from '../provider.ts';
import { describeReference, readReference, secretReferenceSchema } from '../reference.ts';
import { registriesSchema } from '../registry.ts';

const options = z.strictObject({
  registries: registriesSchema,
  username: z.union([z.string().min(1), secretReferenceSchema]),
  password: secretReferenceSchema,
  email: z.email().optional(),
});

/**
 * A login that lives until somebody changes it: Docker Hub, Quay, Harbor, Artifactory, GitLab,
 * GHCR, an ACR admin user or repository token, a Google `_json_key`. It is read again at every run.
 */
export const basic = defineProvider({
  apiVersion: API_VERSION,
  name: 'basic',
  summary: 'a user name and password or robot token from variables or files; never expires',
  hosts: ['any, when named'],
  matches: () => false,
  options,
  configure: (login) => [
    {
      registries: login.registries,
      local: true,
      getCredentials: (context) => readLogin(login, context),
    },
  ],
});

async function readLogin(
  { registries, username, password, email }: z.infer<typeof options>,
  context: FetchContext,
): Promise<readonly RegistryCredential[]> {
  const user =
    typeof username === 'string'
      ? { value: username, trimmed: false }
      : await readReference(username, context);
  const secret = await readReference(password, context);
  return registries.map((registry) => ({
    registry,
    username: user.value,
    password: secret.value,
    expiresAt: 'never',
    ...(email && { email }),
    ...(secret.trimmed && {
      notice: `the line end at the end of ${describeReference(password)} was left out`,
    }),
  }));
}
