import { stripVTControlCharacters } from 'node:util';

export type Column = Readonly<{ title: string; align?: 'left' | 'right' }>;

/** Lines of a plain table: a header, then the rows, two spaces between columns. Colours don't count as width. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string[] {
  const titles = columns.map((column) => column.title);
  const widths = columns.map((_, index) =>
    Math.max(...[titles, ...rows].map((row) => width(row[index] ?? ''))),
  );
  return [titles, ...rows].map((row) =>
    columns
      .map((column, index) => padded(row[index] ?? '', widths[index] ?? 0, column.align ?? 'left'))
      .join('  ')
      .trimEnd(),
  );
}

function padded(text: string, toWidth: number, align: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, toWidth - width(text)));
  return align === 'left' ? text + space : space + text;
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}
