import { describe, expect, it } from 'vitest';
import type { Report } from '../src/report.ts';
import { reportText } from '../src/report-text.ts';

const names = Array.from({ length: 9_000 }, (_, index) => `team-${String(index).padStart(4, '0')}`);

const report: Report = {
  version: 1,
  instance: 'me',
  dryRun: true,
  startedAt: '2026-01-01T10:00:00.000Z',
  finishedAt: '2026-01-01T10:41:00.000Z',
  exitCode: 1,
  stopped: false,
  registries: [
    {
      credential: 'prod',
      registry: 'p.example.com',
      expiresAt: '2026-01-01T22:41:00.000Z',
      fetched: true,
    },
    {
      credential: 'hub',
      registry: 'hub.example.com',
      expiresAt: 'never',
      fetched: true,
      notice: 'trimmed',
    },
    {
      credential: 'azure',
      registry: 'a.example.com',
      expiresAt: null,
      fetched: false,
      error: 'refused: no',
    },
  ],
  secrets: [
    {
      name: 'pull',
      groups: [
        { action: 'create', reason: '', count: 9_000, namespaces: names },
        {
          action: 'renew',
          reason: 'data was changed by kubectl-edit',
          count: 1,
          namespaces: ['default'],
        },
        { action: 'conflict', reason: 'belongs to helm', count: 1, namespaces: ['legacy'] },
        { action: 'fresh', reason: '', count: 998, namespaces: [] },
      ],
    },
  ],
  serviceAccounts: [
    {
      name: 'default',
      groups: [{ action: 'attach', reason: 'pull', count: 1, namespaces: ['a'] }],
    },
  ],
  counts: { create: 9_000, renew: 1, conflict: 1, fresh: 998, attach: 1 },
};

describe('reportText', () => {
  it('is aligned, grouped, and short for ten thousand namespaces', () => {
    expect(reportText(report, { colour: false })).toBe(`CREDENTIAL  REGISTRY         EXPIRES
prod        p.example.com    in 12 h (22:41 UTC)
hub         hub.example.com  never  ! trimmed
azure       a.example.com    -  ! refused: no

SECRET pull (10000 namespaces)
  + create    team-0000, team-0001, team-0002 and 8997 more
  ~ renew     default                                        data was changed by kubectl-edit
  ! conflict  legacy                                         belongs to helm
  = fresh     998 namespaces

SERVICE ACCOUNT default (1 namespace)
  + attach  a  pull

dry run: 9000 to create, 1 to renew, 1 in conflict, 998 fresh, 1 to attach; nothing was written
`);
  });

  it('has colour only where it is asked for', () => {
    expect(reportText(report, { colour: false })).not.toContain('\u001B');
    expect(reportText(report, { colour: true })).toContain('\u001B');
  });
});
