import type { Figure } from '../../../src/index.ts';
import type { TextRow } from './cursor.ts';

const TIMESTAMP = /^\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?$/;

/**
 * A figure for each column in which a cached row differs from PostgreSQL's text of it. Columns
 * that only one of them has were added or dropped since, and are not compared.
 */
export function rowDifferences(key: string, row: TextRow, cached: string): Figure[] {
  return Object.entries(JSON.parse(cached) as Record<string, unknown>).flatMap(([name, value]) => {
    const text = row[name];
    if (text === undefined || isSame(text, value)) return [];
    return [{ name: `${key} ${name}`, source: text ?? 'null', store: printed(value) }];
  });
}

function isSame(text: string | null, value: unknown): boolean {
  if (text === null || typeof value !== 'string') return (text ?? 'null') === printed(value);
  return text === value || (TIMESTAMP.test(text) && isoOf(text) === withoutZeros(value));
}

/** As time.precision.mode=isostring writes it, but without zeros at the end of the fraction. */
function isoOf(timestamp: string): string {
  return `${timestamp.replace(' ', 'T')}Z`;
}

function withoutZeros(iso: string): string {
  return iso.replace(/(\.\d*?)0+Z$/, '$1Z').replace('.Z', 'Z');
}

function printed(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
