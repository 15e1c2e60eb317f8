import type { EntryLife } from './ownership.ts';

/** Clocks of two machines may differ by this much without meaning anything, in milliseconds. */
const CLOCK_SKEW_MS = 300_000;

/**
 * Whether a login should be renewed now: a third of its life is over. With runs closer together
 * than that third, one missed run lets no login die; with rarer runs, every run renews. A login
 * from the future was issued under a wrong clock, so its life cannot be trusted.
 */
export function isDue({ issuedAt, expiresAt }: EntryLife, now: Date): boolean {
  if (issuedAt.getTime() > now.getTime() + CLOCK_SKEW_MS) return true;
  if (expiresAt === 'never') return false;
  const life = expiresAt.getTime() - issuedAt.getTime();
  return now.getTime() >= issuedAt.getTime() + life / 3;
}

/** Whether a registry no longer accepts a login. */
export function isExpired({ expiresAt }: Pick<EntryLife, 'expiresAt'>, now: Date): boolean {
  return expiresAt !== 'never' && expiresAt.getTime() <= now.getTime();
}
