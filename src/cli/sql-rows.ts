import type { SqlColumn, SqlRows, SqlValue } from '../ports/sql-engine.ts';
import { formatTable } from './table.ts';
import type { Terminal } from './terminal.ts';

export const ROW_FORMATS = ['table', 'csv', 'json'] as const;
export type RowFormat = (typeof ROW_FORMATS)[number];

/**
 * Prints rows as they come; a table waits for all of them, since its columns are as wide as they
 * need be. JSON is one object a line. Returns how many there were.
 */
export async function printRows(
  terminal: Terminal,
  batches: AsyncIterable<SqlRows>,
  format: RowFormat,
): Promise<number> {
  let count = 0;
  let columns: readonly SqlColumn[] | undefined;
  const cells: string[][] = [];
  for await (const batch of batches) {
    if (columns === undefined && format === 'csv')
      await terminal.print(batch.columns.map(({ name }) => csvCell(name)).join(','));
    columns = batch.columns;
    count += batch.rows.length;
    for (const row of batch.rows) {
      if (format === 'json') await terminal.printJson(objectOf(batch.columns, row));
      else if (format === 'csv') await terminal.print(row.map(csvValue).join(','));
      else cells.push(row.map(cellText));
    }
  }
  if (format === 'table') await terminal.printAll(formatTable((columns ?? []).map(column), cells));
  return count;
}

/** A value as a line can show it; null is `null`, as an empty text is something else. */
export function cellText(value: SqlValue): string {
  return typeof value === 'string' ? value.replaceAll('\n', '\\n') : JSON.stringify(value);
}

function column({ name, type }: SqlColumn): { title: string; align: 'left' | 'right' } {
  const isNumber = /^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|FLOAT|DOUBLE|DECIMAL)/.test(type);
  return { title: name, align: isNumber && !type.endsWith('[]') ? 'right' : 'left' };
}

function objectOf(
  columns: readonly SqlColumn[],
  row: readonly SqlValue[],
): Readonly<Record<string, SqlValue>> {
  return Object.fromEntries(columns.map(({ name }, index) => [name, row[index] ?? null]));
}

/** Null is nothing, an empty text is two quotes: so PostgreSQL's COPY reads them. */
function csvValue(value: SqlValue): string {
  if (value === null) return '';
  return csvCell(typeof value === 'string' ? value : JSON.stringify(value));
}

function csvCell(text: string): string {
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
