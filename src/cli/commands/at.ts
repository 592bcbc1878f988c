import { Command, Option } from 'commander';
import { TableRows } from '../../app/batch/table-rows.ts';
import { parsePositiveInteger } from '../arguments.ts';
import { batchPlacesOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { parsePastTime } from '../past-time.ts';
import { ROW_FORMATS, rowFormat, TERMINAL_ROWS } from '../row-format.ts';
import { formatCount } from '../units.ts';

type Flags = Readonly<{ format?: (typeof ROW_FORMATS)[number]; limit?: number; json?: true }>;

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
      '--limit <rows>',
      `print at most so many, the first in the order of the key (default: ${TERMINAL_ROWS} in a table on a terminal, else all)`,
      parsePositiveInteger,
    )
    .addOption(new Option('--json', 'print one JSON object a row').conflicts('format'))
    // -10m is a time.
    .allowUnknownOption()
    .action(async (timeMs: number, table: string, key: string | undefined, flags: Flags) => {
      const { terminal, signal } = context;
      const format = flags.json ? 'json' : (flags.format ?? 'table');
      const isCut = format === 'table' && terminal.isTty && flags.limit === undefined;
      const limit = isCut ? TERMINAL_ROWS : flags.limit;
      await using rows = await TableRows.open(
        batchPlacesOf(context, command),
        { table, timeMs, key },
        signal,
      );
      if (rows.warning !== undefined) terminal.note(rows.warning);
      const lines = rowFormat(format, terminal.colours);
      let count = 0;
      for await (const batch of rows.read(limit)) {
        count += batch.rows.length;
        const text = lines.linesOf(batch);
        if (text.length > 0) await terminal.print(text.join('\n'));
      }
      if (key !== undefined && count === 0) context.foundFailure();
      const more = isCut && count === limit ? (await rows.count()) - count : 0;
      if (more > 0) terminal.note(`… and ${formatCount(more)} more; --limit for more of them`);
      else if (format === 'table' && count === 0) terminal.note('No rows.');
    });
  return withExamples(
    command,
    'millrace at -10m orders',
    'millrace at 2026-01-31T12:00:00Z orders 1',
    "millrace at '2026-01-31 12:00' public.orders --format csv",
  );
}
