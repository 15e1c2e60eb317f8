import * as z from 'zod';

/**
 * The key under which every client looks for Docker Hub's login: the one key with a scheme.
 * https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/credentialprovider/config.go
 */
export const DOCKER_HUB = 'https://index.docker.io/v1/';

const DOCKER_HUB_NAMES = new Set([
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'https://index.docker.io/v1',
  DOCKER_HUB,
]);

const LABEL = '[a-z0-9]([a-z0-9-]*[a-z0-9])?';
const REGISTRY = new RegExp(`^${LABEL}(\\.${LABEL})*(:\\d{1,5})?(/[a-z0-9._/-]*[a-z0-9])?$`);

/**
 * A registry as the configuration names it: a host, with a port or a path where needed and without
 * a scheme, because some clients look the host up to the letter. Docker Hub's names become its key.
 */
export const registrySchema = z
  .string()
  .min(1)
  .transform((written) => (DOCKER_HUB_NAMES.has(written) ? DOCKER_HUB : written))
  .refine((registry) => registry === DOCKER_HUB || !registry.includes('://'), {
    error: 'write the host without a scheme, such as registry.example.com',
    abort: true,
  })
  .refine((registry) => registry === DOCKER_HUB || REGISTRY.test(registry), {
    error: 'is not a registry: expected host[:port][/path] in lower case',
  })
  .meta({ description: 'A registry: host[:port][/path], without a scheme' });

/** A non-empty list of registries, each named once. */
export const registriesSchema = z
  .array(registrySchema)
  .min(1)
  .refine((registries) => new Set(registries).size === registries.length, {
    error: 'names a registry twice',
  });

/** The host of a registry, without its port and path: what providers match. */
export function hostOf(registry: string): string {
  return registry.replace(/^https:\/\//, '').replace(/[:/].*$/, '');
}
