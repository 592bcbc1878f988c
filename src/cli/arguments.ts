import { InvalidArgumentError } from 'commander';

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
const MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** "500ms", "30s", "5m" or "1h", as ms. */
export function parseDuration(text: string): number {
  const [, amount, unit] = DURATION.exec(text) ?? [];
  if (amount === undefined || unit === undefined) {
    throw new InvalidArgumentError('Expected a duration such as 500ms, 30s, 5m or 1h.');
  }
  return Number(amount) * MS[unit as keyof typeof MS];
}

export type StartPoint =
  | 'beginning'
  | 'end'
  | Readonly<{ offset: number }>
  | Readonly<{ timestampMs: number }>;

/** Where to start reading: digits are an offset, anything with a dash is a time. */
export function parseStartPoint(text: string): StartPoint {
  if (text === 'beginning' || text === 'end') return text;
  if (/^\d{1,15}$/.test(text)) return { offset: Number(text) };
  const timestampMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timestampMs)) {
    throw new InvalidArgumentError(
      'Expected beginning, end, an offset, or a time such as 2026-01-31T12:00:00Z.',
    );
  }
  return { timestampMs };
}

export function parsePositiveInteger(text: string): number {
  const value = parseInteger(text);
  if (value < 1) throw new InvalidArgumentError('Expected a whole number from 1.');
  return value;
}

export function parseInteger(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 0.');
  return Number(text);
}
