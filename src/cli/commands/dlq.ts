import { Command } from 'commander';
import type { ParkedRecord, ParkedTarget } from '../../app/operations/operations.ts';
import { callOperation } from '../../app/operations/call.ts';
import { placeOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { formatTable } from '../table.ts';
import { MillraceError } from '../../domain/errors.ts';

type TargetOptions = Readonly<{ all?: string; json?: true }>;

export function dlqCommand(context: Context): Command {
  const command = new Command('dlq').description(
    'dead letters: records that failed, and those of the same key that wait behind them',
  );
  command.addCommand(listCommand(context));
  command.addCommand(showCommand(context));
  command.addCommand(
    moveCommand(context, 'replay', 'try the records of a key again, from the failed one on'),
  );
  command.addCommand(
    moveCommand(context, 'drop', 'give up the failed record of a key, and try those behind it'),
  );
  return withExamples(
    command,
    'millrace dlq list',
    'millrace dlq replay cdc-processor/dbserver1.public.orders-0@17',
    'millrace dlq drop --all cdc-processor',
  );
}

function listCommand(context: Context): Command {
  const command = new Command('list')
    .description('list the records that wait')
    .argument('[processor]', 'only those of this processor')
    .option('--json', 'print one JSON object a record')
    .action(async (processor: string | undefined, options: { json?: true }) => {
      const { terminal, signal } = context;
      const parked: ParkedRecord[] = [];
      for await (const record of callOperation(
        placeOf(context, command),
        'dlq.list',
        processor === undefined ? {} : { processor },
        signal,
      )) {
        if (options.json) await terminal.printJson(record);
        else parked.push(record);
      }
      if (options.json) return;
      await terminal.printAll(parked.length === 0 ? ['No dead letters.'] : parkedLines(parked));
    });
  return withExamples(command, 'millrace dlq list', 'millrace dlq list --json');
}

function parkedLines(parked: readonly ParkedRecord[]): string[] {
  return formatTable(
    [{ title: 'ID' }, { title: 'KEY' }, { title: 'STATE' }, { title: 'ERROR' }],
    parked.map(({ id, key, failed, error }) => [
      id,
      key ?? '-',
      failed ? 'failed' : 'waits',
      (error ?? '').split('\n')[0] ?? '',
    ]),
  );
}

function showCommand(context: Context): Command {
  const command = new Command('show')
    .description('print one record with its error')
    .argument('<id>', 'as `dlq list` prints it')
    .option('--json', 'print it as a JSON object')
    .action(async (id: string, options: { json?: true }) => {
      const { terminal, signal } = context;
      const records = callOperation(placeOf(context, command), 'dlq.show', { id }, signal);
      for await (const record of records) {
        if (options.json) await terminal.printJson(record);
        else await terminal.print(JSON.stringify(record, undefined, 2));
      }
    });
  return withExamples(command, 'millrace dlq show cdc-processor/dbserver1.public.orders-0@17');
}

function moveCommand(context: Context, action: 'replay' | 'drop', description: string): Command {
  const command = new Command(action)
    .description(description)
    .argument('[id]', 'any record of the key, as `dlq list` prints it')
    .option('--all <processor>', 'all keys of a processor')
    .option('--json', 'print the outcome as a JSON object')
    .action(async (id: string | undefined, options: TargetOptions) => {
      const { terminal, signal } = context;
      const target = targetOf(id, options.all);
      const name = `dlq.${action}` as const;
      for await (const outcome of callOperation(placeOf(context, command), name, target, signal)) {
        const { processor, parkedBefore, parkedAfter } = outcome;
        if (options.json) await terminal.printJson(outcome);
        else
          await terminal.print(`${processor}: ${parkedBefore} parked before, ${parkedAfter} now`);
      }
    });
  return withExamples(
    command,
    `millrace dlq ${action} cdc-processor/dbserver1.public.orders-0@17`,
    `millrace dlq ${action} --all cdc-processor`,
  );
}

function targetOf(id: string | undefined, processor: string | undefined): ParkedTarget {
  if (id !== undefined && processor === undefined) return { id };
  if (id === undefined && processor !== undefined) return { processor, all: true };
  throw new MillraceError('usage', { expected: 'an id, or --all PROCESSOR' });
}
