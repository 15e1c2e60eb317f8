import * as z from 'zod';
import { ProviderError } from '../../src/errors.ts';
import { API_VERSION, defineProvider } from '../../src/provider.ts';
import type { FetchContext, Provider, RegistryCredential } from '../../src/provider.ts';
import { basic } from '../../src/providers/basic.ts';
import { registriesSchema } from '../../src/registry.ts';

/** A password that must never be seen in any output. */
export const CANARY = 'canary-3f9d-Sw0rdf1sh/+=';

/** What the test provider does when it is asked, chosen by the first label of the registry. */
type Behaviour = (registry: string, context: FetchContext) => Promise<RegistryCredential[]>;

const login = (registry: string, expiresAt: Date | 'never'): RegistryCredential => ({
  registry,
  username: 'test',
  password: CANARY,
  expiresAt,
});

const inTwelveHours = (): Date => new Date(Date.now() + 43_200_000);

const behaviours: Readonly<Record<string, Behaviour>> = {
  test: async (registry) => [login(registry, inTwelveHours())],
  broken: async () => {
    throw new ProviderError('refused', 'the identity may not do this', { remedy: 'grant it' });
  },
  leaking: async () => {
    throw new Error(`could not use ${CANARY}`);
  },
  hanging: () => new Promise(() => {}),
  empty: async () => [],
  foreign: async (registry) => [login(registry, 'never'), login('other.example.com', 'never')],
  expired: async (registry) => [login(registry, new Date(Date.now() - 1000))],
  blank: async (registry) => [{ ...login(registry, 'never'), password: '' }],
  garbled: async (registry) => [{ ...login(registry, 'never'), password: 'a\0b' }],
  undated: async (registry) => [login(registry, new Date(Number.NaN))],
  nothing: async () => undefined as unknown as RegistryCredential[],
};

/** A provider for hosts under `example.com`, each exchange failing or not as its host says. */
export const testProvider = defineProvider({
  apiVersion: API_VERSION,
  name: 'test',
  summary: 'a provider for tests',
  hosts: ['*.example.com'],
  matches: (host) => host.endsWith('.example.com'),
  options: z.strictObject({ registries: registriesSchema }),
  configure: ({ registries }) =>
    registries.map((registry) => ({
      registries: [registry],
      getCredentials: async (context) => {
        const behaviour = behaviours[registry.split('.')[0] ?? ''] ?? behaviours.test;
        return behaviour ? await behaviour(registry, context) : [];
      },
    })),
});

/** The provider table of the tests. */
export const testProviders: readonly Provider[] = [testProvider, basic];
