import { Command } from 'commander';
import { type ColumnChange, type RowEvent, rowHistory } from '../../app/batch/history.ts';
import { counted } from '../../lib/counted.ts';
import { parsePositiveInteger } from '../arguments.ts';
import { batchPlacesOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';

type Flags = Readonly<{ limit?: number; json?: true }>;

export function historyCommand(context: Context): Command {
  const command = new Command('history')
    .description('print every change of a row: when, what, in which transaction, and by whom')
    .argument('<table>', 'such as orders or public.orders')
    .argument(
      '<key>',
      '1; 7,de for a key of two columns; order_id=7,line=2; in a table without a key, values to look for',
    )
    .option('--limit <count>', 'only the newest changes', parsePositiveInteger)
    .option('--json', 'print one JSON object a change')
    .action(async (table: string, key: string, { limit, json }: Flags) => {
      const { terminal, signal } = context;
      const places = batchPlacesOf(context, command);
      const print = (event: RowEvent): Promise<void> =>
        json ? terminal.printJson(event) : terminal.printAll(linesOf(event, terminal.colours));
      const newest: RowEvent[] = [];
      let count = 0;
      for await (const event of rowHistory(places, { table, key }, signal)) {
        count += 1;
        if (limit === undefined) await print(event);
        else if (newest.push(event) > limit) newest.shift();
      }
      for (const event of newest) await print(event);
      if (count === 0) {
        context.foundFailure();
        terminal.note(`The lake knows of no row ${key} in ${table}.`);
      }
    });
  return withExamples(
    command,
    'millrace history orders 1',
    'millrace history public.orders id=1 --limit 10 --json',
  );
}

function linesOf(event: RowEvent, colours: Terminal['colours']): string[] {
  const width = Math.max(0, ...event.columns.map(({ name }) => name.length));
  return [
    `${colours.dim(event.at)}  ${headOf(event, colours)}`,
    ...event.columns.map(
      (column) => `    ${`${column.name}:`.padEnd(width + 1)} ${diffOf(column, colours)}`,
    ),
  ];
}

function headOf(event: RowEvent, colours: Terminal['colours']): string {
  switch (event.what) {
    case 'stood':
      return 'stood so; what came before is no longer kept';
    case 'lost':
      return colours.yellow('gone, as a copy of the table found; how it went is not known');
    case 'gap':
      return colours.yellow(
        `${counted(event.records, 'change')} of the table ${event.records === 1 ? 'is' : 'are'} missing here, perhaps of this row`,
      );
    default: {
      const { what, transaction, actor, facts } = event;
      const said = Object.entries(facts).map(([name, value]) => `${name}: ${shown(value)}`);
      return [
        colours.bold(what),
        // Of a row that a copy finds as it was known, that is all there is to say.
        ...(what === 'copied' && event.columns.length === 0 ? ['as it was'] : []),
        ...(transaction === null ? [] : [`in transaction ${transaction}`]),
        ...(what === 'copied'
          ? []
          : [`by ${actor === null ? 'unknown' : colours.cyan(shown(actor))}`]),
        ...(said.length === 0 ? [] : [`(${said.join(', ')})`]),
      ].join(' ');
    }
  }
}

function diffOf({ old, new: now }: ColumnChange, colours: Terminal['colours']): string {
  const before = old === undefined ? undefined : colours.red(shown(old));
  const after = now === undefined ? undefined : colours.green(shown(now));
  if (before !== undefined && after !== undefined) return `${before} → ${after}`;
  return before === undefined ? (after ?? '') : `${before} →`;
}

/** On one line, and nothing that a terminal would take for an order. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.replaceAll(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
}
