import { MillraceError } from '../../domain/errors.ts';
import { sqlIdentifier, sqlString } from '../models/literal.ts';
import type { LakeTable } from './manifest.ts';

/** By column. */
export type RowKey = Readonly<Record<string, string>>;

/**
 * A key as people write it: `1`; `7,de`, in the order of the columns; `order_id=7,line=2`; a JSON
 * object. In a table without a key, columns by which its rows are looked for. Throws
 * `lake_key_invalid`.
 */
export function parseRowKey(table: LakeTable, text: string): RowKey {
  const { key, schemas } = table;
  const columns = schemas.at(-1)?.columns.map(({ name }) => name) ?? [];
  const named = objectIn(text) ?? pairsIn(text, columns);
  if (named !== undefined) {
    const names = Object.keys(named);
    const isKey = key.length === names.length && key.every((name) => names.includes(name));
    const isSearch = key.length === 0 && names.every((name) => columns.includes(name));
    if (names.length > 0 && (isKey || isSearch)) return named;
    throw invalid(table, text);
  }
  const values = key.length === 1 ? [text] : text.split(',');
  if (key.length === 0 || values.length !== key.length) throw invalid(table, text);
  return Object.fromEntries(key.map((name, index) => [name, values[index] ?? '']));
}

/** A condition on rows in the columns of today. */
export function isRow({ schemas }: LakeTable, key: RowKey): string {
  return Object.entries(key)
    .map(([name, value]) => {
      const type = schemas.at(-1)?.columns.find((each) => each.name === name)?.type ?? 'VARCHAR';
      return `${sqlIdentifier(name)} = CAST(${sqlString(value)} AS ${type})`;
    })
    .join(' AND ');
}

/** SELECT of whether each value is one that its column can have. */
export function fitsSql({ schemas }: LakeTable, key: RowKey): string {
  const checks = Object.entries(key).map(([name, value]) => {
    const type = schemas.at(-1)?.columns.find((each) => each.name === name)?.type ?? 'VARCHAR';
    return `TRY_CAST(${sqlString(value)} AS ${type}) IS NOT NULL`;
  });
  return `SELECT ${checks.join(' AND ')}`;
}

export function invalid({ topic, key, schemas }: LakeTable, found: string): MillraceError {
  const columns = schemas.at(-1)?.columns ?? [];
  const typed = (name: string): string =>
    `${name} ${columns.find((each) => each.name === name)?.type ?? ''}`.trim();
  return new MillraceError('lake_key_invalid', {
    table: topic,
    expected:
      key.length > 0
        ? `the key (${key.map(typed).join(', ')})`
        : `a column and its value, as in ${columns[0]?.name ?? 'name'}=…: this table has no key`,
    found,
  });
}

function objectIn(text: string): RowKey | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const values = JSON.parse(text) as Readonly<Record<string, unknown>>;
    return Object.fromEntries(
      Object.entries(values).map(([name, value]) => [
        name,
        typeof value === 'string' ? value : JSON.stringify(value),
      ]),
    );
  } catch {
    return undefined; // Then it is text that begins so.
  }
}

/** Undefined unless every part begins with the name of a column. */
function pairsIn(text: string, columns: readonly string[]): RowKey | undefined {
  const pairs = text.split(',').map((part) => {
    const at = part.indexOf('=');
    return [part.slice(0, Math.max(at, 0)), part.slice(at + 1)] as const;
  });
  return pairs.every(([name]) => columns.includes(name)) ? Object.fromEntries(pairs) : undefined;
}
