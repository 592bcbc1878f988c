import type { SqlColumn, SqlRows, SqlValue } from '../ports/sql-engine.ts';
import { formatTable } from './table.ts';

/** Makes lines of rows, some thousand at a time; what was given before is not kept. */
export interface RowFormat {
  /** The first batch, which may have no rows, also gives what comes before them. */
  linesOf(batch: SqlRows): string[];
}

/** Of a table on a terminal, where nobody reads more. */
export const TERMINAL_ROWS = 100;

export const ROW_FORMATS = ['table', 'csv', 'json'] as const;

export function rowFormat(
  format: (typeof ROW_FORMATS)[number],
  options: Readonly<{ dim: (text: string) => string }>,
): RowFormat {
  if (format === 'csv') return new CsvFormat();
  return format === 'json' ? new JsonFormat() : new TableFormat(options.dim);
}

/** Columns are as wide as the widest cell so far: rows of one batch stand in line. */
class TableFormat implements RowFormat {
  readonly #dim: (text: string) => string;
  #widths: readonly string[] | undefined;

  constructor(dim: (text: string) => string) {
    this.#dim = dim;
  }

  linesOf({ columns, rows }: SqlRows): string[] {
    const isFirst = this.#widths === undefined;
    const cells = rows.map((row) =>
      row.map((value) => (value === null ? this.#dim('NULL') : visible(textOf(value)))),
    );
    const titles = columns.map(({ name }) => visible(name));
    const before = this.#widths ?? titles;
    this.#widths = titles.map((_, index) =>
      [before[index] ?? '', ...cells.map((row) => row[index] ?? '')].reduce(longer),
    );
    const lines = formatTable(
      columns.map(({ type }, index) => ({
        title: titles[index] ?? '',
        align: isNumeric(type) ? 'right' : 'left',
      })),
      [this.#widths, ...cells],
    );
    // The widths stand as a row of their own; the titles, before the first batch alone.
    return [...(isFirst ? lines.slice(0, 1) : []), ...lines.slice(2)];
  }
}

/** RFC 4180, but for the end of lines. Null is empty, and empty text is `""`. */
class CsvFormat implements RowFormat {
  #isFirst = true;

  linesOf({ columns, rows }: SqlRows): string[] {
    const header = this.#isFirst ? [columns.map(({ name }) => csvText(name)).join(',')] : [];
    this.#isFirst = false;
    return [
      ...header,
      ...rows.map((row) =>
        row.map((value) => (value === null ? '' : csvText(textOf(value)))).join(','),
      ),
    ];
  }
}

/** One object a line. */
class JsonFormat implements RowFormat {
  linesOf({ columns, rows }: SqlRows): string[] {
    const names = distinct(columns);
    return rows.map((row) =>
      JSON.stringify(Object.fromEntries(names.map((name, index) => [name, row[index] ?? null]))),
    );
  }
}

/** Two columns of one name would be one field: the second is called `name_1`, as DuckDB has it in a subquery. */
function distinct(columns: readonly SqlColumn[]): readonly string[] {
  const taken = new Set<string>();
  return columns.map(({ name }) => {
    let own = name;
    for (let number = 1; taken.has(own); number++) own = `${name}_${number}`;
    taken.add(own);
    return own;
  });
}

function textOf(value: Exclude<SqlValue, null>): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function csvText(text: string): string {
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** On one line, and nothing that a terminal would take for an order. */
function visible(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
}

function longer(a: string, b: string): string {
  return b.length > a.length ? b : a;
}

function isNumeric(type: string): boolean {
  return /^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|U\w*INT\w*|FLOAT|DOUBLE|DECIMAL.*)$/.test(type);
}
