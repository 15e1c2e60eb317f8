import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { authEntry, dockerConfigJson, parseDockerConfigJson } from '../src/dockerconfig.ts';

const login = (registry: string, username: string, password: string) =>
  ({ registry, username, password, expiresAt: 'never' }) as const;

function configOf(hosts: readonly string[]): string {
  return dockerConfigJson(
    Object.fromEntries(hosts.map((host) => [host, authEntry(login(host, 'u', 'p'))])),
  );
}

describe('dockerConfigJson', () => {
  it('writes the fields in the order of kubectl, with its escapes', () => {
    const entry = authEntry({ ...login('r', 'u', 'p<&>'), email: 'a@example.com' });
    expect(dockerConfigJson({ 'r.example.com': entry })).toBe(
      String.raw`{"auths":{"r.example.com":{"username":"u","password":"p\u003c\u0026\u003e","email":"a@example.com","auth":"dTpwPCY+"}}}`,
    );
  });

  it('sorts its keys, whatever the order of the logins', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.domain(), { minLength: 1, maxLength: 8 }), (hosts) => {
        expect(configOf(hosts)).toBe(configOf(hosts.toReversed()));
        expect(Object.keys(JSON.parse(configOf(hosts)).auths)).toEqual(hosts.toSorted());
      }),
    );
  });

  it('is read back as it was written, and its auth decodes to the login', () => {
    const text = fc.string({ minLength: 1, unit: 'grapheme' });
    const user = text.filter((u) => !u.includes(':'));
    fc.assert(
      fc.property(fc.domain(), user, text, (host, username, password) => {
        const entry = authEntry(login(host, username, password));
        const written = dockerConfigJson({ [host]: entry });
        expect(parseDockerConfigJson(written)).toEqual({ [host]: entry });
        expect(Buffer.from(String(entry.auth), 'base64').toString()).toBe(
          `${username}:${password}`,
        );
        expect(written).not.toMatch(/[<>&\u2028\u2029]/);
      }),
    );
  });
});

describe('parseDockerConfigJson', () => {
  it.each([
    ['not JSON', '{'],
    ['no auths', '{}'],
    ['auths of another form', '{"auths": []}'],
    ['an auth that is not base64, which fails every pull of a Pod', '{"auths":{"h":{"auth":"%"}}}'],
    ['an auth without a colon', '{"auths":{"h":{"auth":"dXNlcg=="}}}'],
  ])('refuses %s', (_case, text) => {
    expect(parseDockerConfigJson(text)).toBeUndefined();
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseDockerConfigJson(text)),
    );
  });
});
