import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDue, isExpired } from '../src/due.ts';

const HOUR = 3_600_000;
const issuedAt = new Date('2026-01-01T00:00:00Z');
const at = (ms: number): Date => new Date(issuedAt.getTime() + ms);

describe('isDue', () => {
  it('is false before a third of the life is over and true from then on', () => {
    const life = { issuedAt, expiresAt: at(12 * HOUR) };
    expect(isDue(life, at(4 * HOUR - 1))).toBe(false);
    expect(isDue(life, at(4 * HOUR))).toBe(true);
    expect(isDue(life, at(13 * HOUR))).toBe(true);
  });

  it('is never true for a static login, unless it was issued under a wrong clock', () => {
    expect(isDue({ issuedAt, expiresAt: 'never' }, at(1e12))).toBe(false);
    expect(isDue({ issuedAt, expiresAt: 'never' }, at(-HOUR))).toBe(true);
  });

  it('lets no login die when runs are closer than a third of its life and one of them is missed', () => {
    const cases = fc.record({
      life: fc.integer({ min: 60, max: 43_200 }),
      share: fc.double({ min: 0.05, max: 0.33, noNaN: true }),
      missed: fc.nat({ max: 20 }),
      offset: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(cases, ({ life, share, missed, offset }) => {
        const step = life * share * 1000;
        let current = { issuedAt, expiresAt: at(life * 1000) };
        for (let run = 0; run < 40; run += 1) {
          const now = at((run + offset) * step);
          if (run === missed) continue;
          expect(isExpired(current, now)).toBe(false);
          if (isDue(current, now)) {
            current = { issuedAt: now, expiresAt: new Date(now.getTime() + life * 1000) };
          }
        }
      }),
    );
  });
});
