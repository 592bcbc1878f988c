import type { ColumnNumber, LakeColumn } from './manifest.ts';

type Numbered = Readonly<{ number?: ColumnNumber | undefined }>;

/** That of the columns which is this one: by number where both have one of one table, else by name. */
export function sameColumn(
  columns: readonly LakeColumn[],
  known: Pick<LakeColumn, 'name' | 'number'>,
): LakeColumn | undefined {
  return columns.find((column) => isSameNumber(column, known) ?? column.name === known.name);
}

/** Undefined: their numbers don't tell. */
export function isSameNumber(a: Numbered, b: Numbered): boolean | undefined {
  if (a.number === undefined || a.number.table !== b.number?.table) return undefined;
  return a.number.column === b.number.column;
}
