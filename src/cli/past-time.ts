import { InvalidArgumentError } from 'commander';
import { parseDuration } from './arguments.ts';

/**
 * `2026-11-23T10:00:00Z`, `2026-11-23 10:00`, `2026-11-23`, all in UTC unless they say otherwise;
 * `-10m` is ten minutes ago. As ms. One that is still to come is refused: nothing is known of it.
 */
export function parsePastTime(text: string, nowMs: number = Date.now()): number {
  if (text === 'now') return nowMs;
  if (/^-\d/.test(text))
    return nowMs - parseDuration(text.slice(1).replace(/^(\d+)d$/, daysAsHours));
  const [, day, time = '00:00', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))? ?(Z|[+-]\d\d(?::?\d\d)?)?$/.exec(
      text,
    ) ?? [];
  const offset = /^[+-]\d\d$/.test(zone) ? `${zone}:00` : zone;
  const timeMs = day === undefined ? Number.NaN : Date.parse(`${day}T${time}${offset}`);
  if (Number.isNaN(timeMs) || !isDay(day))
    throw new InvalidArgumentError(
      'Expected a time such as 2026-01-31T12:00:00Z, "2026-01-31 12:00" (UTC), or -10m for ten minutes ago.',
    );
  if (timeMs > nowMs)
    throw new InvalidArgumentError(
      `Expected a time that has passed; now it is ${new Date(nowMs).toISOString()}.`,
    );
  return timeMs;
}

/** JavaScript takes February 30 for March 2. */
function isDay(day: string | undefined): boolean {
  return day !== undefined && new Date(`${day}T00:00Z`).toISOString().startsWith(day);
}

function daysAsHours(_: string, days: string): string {
  return `${Number(days) * 24}h`;
}
