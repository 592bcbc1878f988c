import type { SinkRecord } from '../../ports/sink.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What a record does to one row: sets columns, or removes the row (`set` undefined). */
export type RowChange = Readonly<{
  record: SinkRecord;
  /** Values of the key's columns, in their order. */
  key: readonly unknown[];
  set: Fields | undefined;
}>;

export type RowMapping = Readonly<{
  /** Columns of the table's key. */
  key: readonly string[];
  /** Field of the value by column; undefined: each field is the column of its name. */
  columns: Readonly<Record<string, string>> | undefined;
}>;

/** The row change of a record; or, as text, why there is none. `known` are the table's columns. */
export function rowChange(
  record: SinkRecord,
  { key, columns }: RowMapping,
  known: Readonly<Record<string, unknown>>,
): RowChange | string {
  if (record.value === null) {
    const values = key.map((column) => keyPart(record.key, column, key.length));
    const missing = key.find((_, index) => values[index] === undefined);
    return missing === undefined
      ? { record, key: values, set: undefined }
      : `a removal needs ${missing} in the record's key, found ${shown(record.key)}`;
  }
  if (!isFields(record.value)) return `expected an object, found ${shown(record.value)}`;
  const set = columns === undefined ? { ...record.value } : picked(record.value, columns);
  for (const column of key) {
    const value = set[column] ?? keyPart(record.key, column, key.length);
    if (value === undefined) return `no value for ${column}, which is in the key of the table`;
    set[column] = value;
  }
  const unknown = Object.keys(set).find((column) => !Object.hasOwn(known, column));
  if (unknown !== undefined) return `the table has no column ${unknown} that could be written`;
  return { record, key: key.map((column) => set[column]), set };
}

/** What a run of changes comes to: rows to remove first, then rows to write, by the columns written. */
export type FoldedRows = Readonly<{
  removed: readonly Fields[];
  written: readonly Readonly<{ columns: readonly string[]; rows: readonly Fields[] }>[];
}>;

/**
 * Folds changes so that each row is touched once: later columns win, and what came before a
 * removal is gone, the columns that nobody sets afterwards included.
 */
export function foldRows(changes: readonly RowChange[], key: readonly string[]): FoldedRows {
  const rows = new Map<string, { key: readonly unknown[]; isRemoved: boolean; set?: Fields }>();
  for (const { key: values, set } of changes) {
    const identity = JSON.stringify(values.map((value) => asText(value)));
    const row = rows.get(identity) ?? { key: values, isRemoved: false };
    if (set === undefined) rows.set(identity, { key: values, isRemoved: true });
    else rows.set(identity, { ...row, set: { ...row.set, ...set } });
  }
  const byColumns = new Map<string, { columns: readonly string[]; rows: Fields[] }>();
  const removed: Fields[] = [];
  for (const row of rows.values()) {
    if (row.isRemoved)
      removed.push(Object.fromEntries(key.map((column, index) => [column, row.key[index]])));
    if (row.set === undefined) continue;
    const columns = Object.keys(row.set).toSorted();
    const group = byColumns.get(columns.join('\0')) ?? { columns, rows: [] };
    byColumns.set(columns.join('\0'), group);
    group.rows.push(row.set);
  }
  return { removed, written: [...byColumns.values()] };
}

/** From a key that is an object, its field; a plain value is the key of a table with one key column. */
function keyPart(key: unknown, column: string, columns: number): unknown {
  if (isFields(key)) return (Object.hasOwn(key, column) ? key[column] : undefined) ?? undefined;
  return columns === 1 && typeof key !== 'object' ? key : undefined;
}

function picked(value: Fields, columns: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(columns).flatMap(([column, field]) =>
      Object.hasOwn(value, field) ? [[column, value[field]]] : [],
    ),
  );
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isInexact(value);
}

/** A number that kept its digits. */
function isInexact(value: object): boolean {
  return (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value);
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 100);
}
