import { Command, Option } from 'commander';
import { readTable } from '../../app/batch/lake-commands.ts';
import { parsePositiveInteger } from '../arguments.ts';
import { batchPlacesOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { parsePastTime } from '../past-time.ts';
import { ROW_FORMATS, rowFormat } from '../row-format.ts';
import { formatCount } from '../units.ts';

type Flags = Readonly<{ format?: (typeof ROW_FORMATS)[number]; limit?: number; json?: true }>;

/** What a person can look through. */
const TABLE_ROWS = 1000;

export function atCommand(context: Context): Command {
  const command = new Command('at')
    .description('print the rows of a table as they were at a time, in the columns it had then')
    .argument('<time>', '2026-01-31T12:00:00Z, "2026-01-31 12:00" (UTC), -10m or -7d', (text) =>
      parsePastTime(text),
    )
    .argument('<table>', 'such as orders or public.orders')
    .argument('[key]', '1; 7,de for a key of two columns; order_id=7,line=2')
    .addOption(
      new Option(
        '--format <format>',
        'table, csv, or json: one object a line (default: table)',
      ).choices(ROW_FORMATS),
    )
    .option(
      '--limit <count>',
      `at most so many rows, in the order of the key (default: ${TABLE_ROWS} in a table, else all)`,
      parsePositiveInteger,
    )
    .addOption(new Option('--json', 'print one JSON object a row').conflicts('format'))
    // -10m is a time.
    .allowUnknownOption()
    .action(async (timeMs: number, table: string, key: string | undefined, flags: Flags) => {
      const { terminal, signal } = context;
      const format = flags.json ? 'json' : (flags.format ?? 'table');
      const { limit = format === 'table' ? TABLE_ROWS : undefined } = flags;
      const places = batchPlacesOf(context, command);
      const lines = rowFormat(format, terminal.colours);
      let count = 0;
      for await (const batch of readTable(places, { table, timeMs, key, limit }, signal)) {
        count += batch.rows.length;
        await terminal.printAll(lines.linesOf(batch));
      }
      if (key !== undefined && count === 0) context.foundFailure();
      if (format !== 'table') return;
      if (count === 0) terminal.note('No rows.');
      else if (count === limit)
        terminal.note(`${formatCount(count)} ${count === 1 ? 'row' : 'rows'}; --limit for more`);
    });
  return withExamples(
    command,
    'millrace at -10m orders',
    'millrace at 2026-01-31T12:00:00Z orders 1',
    "millrace at '2026-01-31 12:00' public.orders --format csv",
  );
}
