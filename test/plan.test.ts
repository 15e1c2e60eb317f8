import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SecretState } from '../src/cluster.ts';
import { parseConfig } from '../src/config.ts';
import { recordAnnotations } from '../src/ownership.ts';
import { planAttachment, planSecret } from '../src/plan.ts';
import type { PlanInput } from '../src/plan.ts';
import { testProviders } from './fakes/provider.ts';

const REGISTRY = 'test.example.com';
const NOW = new Date('2026-01-01T12:00:00Z');
const HOUR = 3_600_000;
const before = (hours: number): Date => new Date(NOW.getTime() - hours * HOUR);

const configured = (onConflict: 'fail' | 'force' = 'fail') => {
  const config = {
    registries: [REGISTRY],
    secrets: [{ name: 's', namespaces: ['*'], onConflict }],
  };
  const [secret] = parseConfig(config, testProviders).secrets;
  if (secret === undefined) throw new Error('no Secret');
  return secret;
};

const ours = (namespace: string, issuedHoursAgo = 1, lifeHours = 12): SecretState => ({
  namespace,
  annotations: recordAnnotations({
    instance: 'me',
    revision: 'r1',
    entries: new Map([
      [
        REGISTRY,
        { issuedAt: before(issuedHoursAgo), expiresAt: before(issuedHoursAgo - lifeHours) },
      ],
    ]),
  }),
  otherManagers: [],
  otherDataManagers: [],
  dataIsOurs: true,
});

const foreign = (namespace: string, annotations = {}): SecretState => ({
  ...ours(namespace),
  annotations,
  otherManagers: ['helm'],
  dataIsOurs: false,
});

const plan = (existing: readonly SecretState[], input: Partial<PlanInput> = {}) =>
  planSecret({
    secret: configured(),
    namespaces: [{ name: 'a', labels: {}, terminating: false }],
    existing,
    claimedElsewhere: new Set(),
    instance: 'me',
    revision: 'r1',
    now: NOW,
    forceRenew: false,
    ...input,
  });

describe('planSecret', () => {
  it.each<[string, readonly SecretState[], Partial<PlanInput>, object]>([
    ['creates what is missing', [], {}, { action: 'create', reason: { kind: 'missing' } }],
    ['leaves what is fresh', [ours('a')], {}, { action: 'fresh' }],
    [
      'renews after a third of the life',
      [ours('a', 4)],
      {},
      { action: 'renew', force: false, reason: { kind: 'aging' } },
    ],
    [
      'says how long it was dead',
      [ours('a', 13)],
      {},
      { reason: { kind: 'expired', since: before(1) } },
    ],
    [
      'renews when configured anew',
      [ours('a')],
      { revision: 'r2' },
      { reason: { kind: 'reconfigured' } },
    ],
    ['does not, where nobody can tell', [ours('a')], { revision: undefined }, { action: 'fresh' }],
    ['renews on request', [ours('a')], { forceRenew: true }, { reason: { kind: 'requested' } }],
    [
      'repairs what was edited',
      [{ ...ours('a'), dataIsOurs: false, otherDataManagers: ['kubectl-edit'] }],
      {},
      { action: 'renew', force: true, reason: { kind: 'drifted', managers: ['kubectl-edit'] } },
    ],
    [
      "leaves another's",
      [foreign('a')],
      {},
      { action: 'conflict', reason: { kind: 'foreign', managers: ['helm'] } },
    ],
    [
      "leaves another installation's",
      [ours('a')],
      { instance: 'you' },
      { action: 'conflict', reason: { kind: 'instance', instance: 'me' } },
    ],
    [
      'takes over when told to',
      [foreign('a')],
      { secret: configured('force') },
      { action: 'renew', force: true },
    ],
    [
      'skips a namespace that is being deleted',
      [],
      { namespaces: [{ name: 'a', labels: {}, terminating: true }] },
      { action: 'skip' },
    ],
  ])('%s', (_case, existing, input, expected) => {
    expect(plan(existing, input).targets).toMatchObject([{ namespace: 'a', ...expected }]);
  });

  it('counts a damaged annotation as an entry that is absent', () => {
    const damaged = ours('a');
    const entries = 'registry-token-refresher/entries';
    const annotations = { ...damaged.annotations, [entries]: '{"test.example.com":["x","y"]}' };
    expect(plan([{ ...damaged, annotations }]).targets).toMatchObject([
      { action: 'renew', reason: { kind: 'incomplete', registries: [REGISTRY] } },
    ]);
  });

  it('finds our Secrets outside of their targets, and nobody else’s', () => {
    const existing = [ours('a'), ours('old'), foreign('theirs'), ours('elsewhere')];
    const { orphans } = plan(existing, { claimedElsewhere: new Set(['elsewhere']) });
    expect(orphans).toEqual(['old']);
  });

  it('never writes over what is not ours unless told to, whatever its annotations say', () => {
    const text = fc.oneof(fc.string(), fc.constantFrom('me', 'r1', '{}', '[]', 'null'));
    const annotations = fc.dictionary(
      fc
        .constantFrom('instance', 'revision', 'entries')
        .map((key) => `registry-token-refresher/${key}`),
      text,
    );
    fc.assert(
      fc.property(annotations, fc.boolean(), (found, forceRenew) => {
        fc.pre(found['registry-token-refresher/instance'] !== 'me');
        const { targets, orphans } = plan([foreign('a', found), foreign('b', found)], {
          forceRenew,
        });
        expect(targets.map(({ action }) => action)).toEqual(['conflict']);
        expect(orphans).toEqual([]);
      }),
    );
  });
});

describe('planAttachment', () => {
  it('wants what is missing and nothing else', () => {
    const account = {
      namespace: 'a',
      name: 'default',
      resourceVersion: '1',
      imagePullSecrets: ['x'],
    };
    expect(planAttachment(account, ['x', 'y']).missing).toEqual(['y']);
    expect(planAttachment(account, ['x']).missing).toEqual([]);
  });
});
