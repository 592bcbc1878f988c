import { resolve } from 'node:path';
import { Command } from 'commander';
import {
  compactLake,
  exportTable,
  forgetTable,
  type ListedTable,
  listTables,
} from '../../app/batch/lake-commands.ts';
import { counted } from '../../lib/counted.ts';
import { confirmed } from '../confirmation.ts';
import { batchPlacesOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { parsePastTime } from '../past-time.ts';
import { formatTable } from '../table.ts';
import { formatBytes, formatCount } from '../units.ts';

type Json = Readonly<{ json?: true }>;

export function lakeCommand(context: Context): Command {
  const command = new Command('lake')
    .description('look after the lake: the change log as Parquet files')
    .addCommand(listCommand(context))
    .addCommand(compactCommand(context))
    .addCommand(exportCommand(context))
    .addCommand(forgetCommand(context));
  return withExamples(
    command,
    'millrace lake ls',
    'millrace lake export orders --to orders.parquet',
  );
}

function listCommand(context: Context): Command {
  const command = new Command('ls')
    .description('list tables: changes, files, and how far back they reach; of one, its columns')
    .argument('[table]', 'such as orders or public.orders')
    .option('--json', 'print one JSON object a table')
    .action(async (table: string | undefined, { json }: Json) => {
      const { terminal } = context;
      const tables = await listTables(batchPlacesOf(context, command), table);
      if (json) for (const each of tables) await terminal.printJson(each);
      else if (tables.length === 0) await terminal.print('The lake is empty.');
      else
        await terminal.printAll([
          ...tableLines(tables),
          ...tables.filter(({ incomplete }) => incomplete !== undefined).map(copyingLine),
          ...columnLines(table, tables),
        ]);
    });
  return withExamples(command, 'millrace lake ls', 'millrace lake ls orders --json');
}

function tableLines(tables: readonly ListedTable[]): string[] {
  return formatTable(
    [
      { title: 'TABLE' },
      { title: 'KEY' },
      { title: 'CHANGES', align: 'right' },
      { title: 'FILES', align: 'right' },
      { title: 'BASE ROWS', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'FROM' },
      { title: 'TO' },
      { title: 'MISSING', align: 'right' },
    ],
    tables.map((each) => [
      each.table,
      each.key.join(', '),
      formatCount(each.changes),
      formatCount(each.changeFiles),
      each.baseRows === undefined ? '' : formatCount(each.baseRows),
      formatBytes(each.bytes),
      timeOf(each.fromMs),
      timeOf(each.toMs),
      each.missing === 0 ? '' : formatCount(each.missing),
    ]),
  );
}

function copyingLine({ table }: ListedTable): string {
  return `${table} is being copied: not all of its rows are in the lake yet`;
}

function columnLines(named: string | undefined, [table]: readonly ListedTable[]): string[] {
  if (named === undefined || table === undefined) return [];
  const rows = table.columns.map(({ name, type }) => [name, type]);
  return ['', ...formatTable([{ title: 'COLUMN' }, { title: 'TYPE' }], rows)];
}

function compactCommand(context: Context): Command {
  const command = new Command('compact')
    .description('merge small files, write down present rows, and drop what is past retention')
    .argument('[table]', 'only this one')
    .option('--json', 'print one JSON object for each thing done')
    .action(async (table: string | undefined, { json }: Json) => {
      const { terminal, signal } = context;
      let steps = 0;
      const places = batchPlacesOf(context, command);
      await compactLake(
        places,
        table,
        (step) => {
          steps += 1;
          if (json) terminal.show(JSON.stringify(step));
          else if (step.did === 'merged')
            terminal.show(
              `${step.topic}: ${counted(step.files, 'file is', 'files are')} one, of ${counted(step.rows, 'change')}`,
            );
          else if (step.did === 'based')
            terminal.show(`${step.topic}: ${counted(step.rows, 'row')} written down`);
          else if (step.did === 'dropped')
            terminal.show(`${step.topic}: ${counted(step.files, 'file')} past retention dropped`);
          else terminal.show(`${counted(step.files, 'replaced file')} deleted`);
        },
        signal,
      );
      if (steps === 0 && !json) await terminal.print('Nothing to do.');
    });
  return withExamples(command, 'millrace lake compact', 'millrace lake compact orders --json');
}

function exportCommand(context: Context): Command {
  const command = new Command('export')
    .description('write the rows of a table to a file, now or as of a time')
    .argument('<table>', 'such as orders or public.orders')
    .requiredOption(
      '--to <file>',
      'ends with .parquet, .csv, .json (an array) or .jsonl (a line a row); a file that is there is replaced',
    )
    .option('--at <time>', '2026-01-31T12:00:00Z, "2026-01-31 12:00" (UTC) or -10m', (text) =>
      parsePastTime(text),
    )
    .option('--json', 'print a JSON object with the number of rows')
    .action(async (table: string, { to, at, json }: Json & { to: string; at?: number }) => {
      const { terminal, signal, cwd } = context;
      const places = batchPlacesOf(context, command);
      const wanted = { table, timeMs: at, to: resolve(cwd, to) };
      const { rows, warning } = await exportTable(places, wanted, signal);
      if (warning !== undefined) terminal.note(warning);
      if (json) await terminal.printJson({ table, file: to, rows });
      else await terminal.print(`${counted(rows, 'row')} in ${to}`);
    });
  return withExamples(
    command,
    'millrace lake export orders --to orders.parquet',
    'millrace lake export public.orders --to orders.csv --at -1h',
  );
}

function forgetCommand(context: Context): Command {
  const command = new Command('forget')
    .description('drop a table from the lake, with its history; it is written anew from the log')
    .argument('<table>', 'such as orders or public.orders')
    .option('--yes', 'do not ask')
    .option('--json', 'print what was dropped as a JSON object')
    .action(async (name: string, { yes, json }: Json & { yes?: true }) => {
      const { terminal } = context;
      const places = batchPlacesOf(context, command);
      const [table] = await listTables(places, name);
      const what = `${counted(table?.changes ?? 0, 'change')} of ${table?.table ?? name}`;
      const question = `Drop ${what}? What the log no longer holds of them is lost.`;
      if (!yes && !(await confirmed(question, context))) {
        await terminal.print('Nothing was dropped.');
        return;
      }
      const forgotten = await forgetTable(places, name);
      if (json) await terminal.printJson(forgotten);
      else
        await terminal.print(
          `Dropped ${what}. They are written anew from where the log begins; \`millrace connector copy ${forgotten.table}\` brings the rows from before.`,
        );
    });
  return withExamples(command, 'millrace lake forget orders', 'millrace lake forget orders --yes');
}

function timeOf(ms: number | undefined): string {
  return ms === undefined ? '' : new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
