import type { Row } from '../../../src/index.ts';

/** The values of a row's key, percent-encoded, joined by commas; `-` where there is no key. */
export function rowKey(key: Row | null): string {
  if (key === null) return '-';
  const values = Object.values(key);
  const [only] = values;
  if (values.length === 1 && typeof only === 'number') return String(only);
  return values.map((value) => encodeURIComponent(text(value))).join(',');
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(value) ?? 'null';
}
