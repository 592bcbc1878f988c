import { tumbling } from '../../../src/index.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const graceMs = 10_000;

/** Whole minutes of UTC. */
export const MINUTES = tumbling({ sizeMs: MINUTE_MS, graceMs });
/** Whole days of UTC. */
export const DAYS = tumbling({ sizeMs: DAY_MS, graceMs });

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
