export type Backoff = Readonly<{ baseMs: number; maxMs: number }>;

/** From a quarter of a second to half a minute. */
export const BACKOFF: Backoff = { baseMs: 250, maxMs: 30_000 };

/**
 * How long to wait before attempt `attempt` (1 is the first repetition): doubling, bounded, and
 * between half and all of that, so that those who failed together do not return together.
 * `random` gives numbers in [0, 1).
 */
export function backoffMs(attempt: number, random: () => number, backoff = BACKOFF): number {
  const whole = Math.min(backoff.maxMs, backoff.baseMs * 2 ** (attempt - 1));
  return Math.round(whole * (0.5 + random() / 2));
}
