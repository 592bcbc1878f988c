import { readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { LakeQuery } from '../../app/batch/sql.ts';
import { MillraceError } from '../../domain/errors.ts';
import { counted } from '../../lib/counted.ts';
import type { SqlRows } from '../../ports/sql-engine.ts';
import { parsePositiveInteger } from '../arguments.ts';
import { batchPlacesOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { LineFile } from '../line-file.ts';
import { ROW_FORMATS, rowFormat, TERMINAL_ROWS } from '../row-format.ts';
import { parsePastTime } from '../past-time.ts';
import { readStandardInput } from '../standard-input.ts';
import { formatCount } from '../units.ts';

const FORMATS = [...ROW_FORMATS, 'parquet'] as const;
type Format = (typeof FORMATS)[number];

type Flags = Readonly<{
  file?: string;
  format?: Format;
  output?: string;
  at?: number;
  limit?: number;
  json?: true;
}>;

export function sqlCommand(context: Context): Command {
  const command = new Command('sql')
    .description('ask the lake and its models a question in SQL: it reads, and changes nothing')
    .argument(
      '[sql]',
      'one SELECT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN; none or -: standard input',
    )
    .option('--file <file>', 'read the SQL from this file')
    .addOption(
      new Option(
        '--format <format>',
        'how to print rows; json: one object a line (default: by the ending of --output, else table)',
      ).choices(FORMATS),
    )
    .option('--output <file>', 'write to this file, once all of it is there')
    .option(
      '--at <time>',
      'tables as they were then: 2026-01-31T12:00:00Z, or -10m for ten minutes ago',
      parsePastTime,
    )
    .option(
      '--limit <rows>',
      `print at most so many (default: ${TERMINAL_ROWS} in a table on a terminal, else all)`,
      parsePositiveInteger,
    )
    .addOption(new Option('--json', 'print one JSON object a row').conflicts('format'))
    .action(async (argument: string | undefined, flags: Flags) => {
      const { cwd, signal, terminal } = context;
      const format = formatOf(flags);
      const sql = await sqlOf(argument, flags, context);
      const { at: atMs } = flags;
      await using query = await LakeQuery.open(
        batchPlacesOf(context, command),
        { sql, ...(atMs !== undefined && { atMs }) },
        signal,
      );
      for (const warning of query.warnings) terminal.note(warning);
      const output = flags.output === undefined ? undefined : resolve(cwd, flags.output);
      if (format !== 'parquet') await printRows(query, { ...flags, format, output }, context);
      else if (output !== undefined)
        note(await query.writeParquet(output, flags.limit), output, context);
    });
  return withExamples(
    command,
    "millrace sql 'SELECT status, count(*) FROM orders GROUP BY status'",
    'millrace sql "SELECT segment, count(*) FROM customer_segments GROUP BY ALL ORDER BY 1"',
    'millrace sql "SELECT __commit_time, __op, status FROM changes.orders WHERE id = 1" --json',
    'millrace sql "SELECT count(*) FROM orders" --at 2026-01-31T12:00:00Z',
    'millrace sql "FROM order_items" --output order_items.parquet',
    'millrace sql "SHOW ALL TABLES"',
    'millrace sql --file report.sql --format csv > report.csv',
  );
}

function formatOf({ format, json, output }: Flags): Format {
  const chosen = json ? 'json' : (format ?? formatByEnding(output));
  if (chosen === 'parquet' && output === undefined)
    throw new MillraceError('usage', {
      expected: '--output <file> with --format parquet, which is nothing to print',
      found: 'no --output',
    });
  return chosen;
}

const ENDINGS: Readonly<Record<string, Format>> = {
  '': 'table',
  '.txt': 'table',
  '.csv': 'csv',
  '.json': 'json',
  '.jsonl': 'json',
  '.ndjson': 'json',
  '.parquet': 'parquet',
};

function formatByEnding(output = ''): Format {
  const ending = extname(output).toLowerCase();
  const found = ENDINGS[ending];
  if (found === undefined)
    throw new MillraceError('usage', {
      expected: `--format, or a file that ends with ${Object.keys(ENDINGS).filter(Boolean).join(', ')}`,
      found: output,
    });
  return found;
}

async function sqlOf(
  argument: string | undefined,
  { file }: Flags,
  { cwd, signal }: Context,
): Promise<string> {
  if (file !== undefined && argument !== undefined)
    throw new MillraceError('usage', { expected: 'SQL or --file, not both', found: 'both' });
  if (file !== undefined) return readFile(resolve(cwd, file), 'utf8').catch(unreadable);
  if (argument !== undefined && argument !== '-') return argument;
  return readStandardInput(signal);
}

function unreadable(error: unknown): never {
  const { message } = error as Error;
  throw new MillraceError('usage', { expected: 'a file with SQL', found: message }, error);
}

type Printing = Readonly<{
  format: Exclude<Format, 'parquet'>;
  output: string | undefined;
  limit?: number;
}>;

async function printRows(query: LakeQuery, printing: Printing, context: Context): Promise<void> {
  const { terminal, signal } = context;
  const { format, output } = printing;
  const isForReading = format === 'table' && output === undefined;
  const isCut = isForReading && terminal.isTty && !query.isExplanation;
  const limit = printing.limit ?? (isCut ? TERMINAL_ROWS : Infinity);
  const lines = rowFormat(format, {
    dim: isForReading ? terminal.colours.dim : (text) => text,
  });
  await using file = output === undefined ? undefined : await LineFile.create(output);
  const print = async (text: readonly string[]): Promise<void> => {
    if (text.length > 0) await (file ?? terminal).print(text.join('\n'));
  };
  let count = 0;
  let hasMore = false;
  for await (const batch of query.rows()) {
    signal.throwIfAborted();
    const rows = batch.rows.slice(0, limit - count);
    count += rows.length;
    if (query.isExplanation && format === 'table') await print(plan(batch));
    else await print(lines.linesOf({ ...batch, rows }));
    hasMore = rows.length < batch.rows.length;
    if (hasMore) break;
  }
  if (output !== undefined && file !== undefined) {
    await file.finish();
    note(count, output, context);
  }
  if (hasMore && printing.limit === undefined) {
    const more = (await query.count()) - count;
    terminal.note(`… and ${formatCount(more)} more; --limit for more of them`);
  } else if (isForReading && count === 0) terminal.note('No rows.');
}

/** The drawing that EXPLAIN gives, in its last column. */
function plan({ rows }: SqlRows): string[] {
  return rows.map((row) => (row.at(-1) as string).trimEnd());
}

function note(rows: number, output: string, { terminal }: Context): void {
  terminal.note(`Wrote ${counted(rows, 'row')} to ${output}.`);
}
