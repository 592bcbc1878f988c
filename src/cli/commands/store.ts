import { Command } from 'commander';
import type { StoreEntry } from '../../app/operations/operations.ts';
import { callOperation } from '../../app/operations/call.ts';
import { parsePositiveInteger } from '../arguments.ts';
import { placeOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { formatDuration } from '../units.ts';

type ScanOptions = Readonly<{ limit?: number; json?: true }>;

export function storeCommand(context: Context): Command {
  const command = new Command('store').description('read the keys that the processors serve');
  command.addCommand(getCommand(context));
  command.addCommand(keysCommand(context));
  command.addCommand(scanCommand(context));
  return withExamples(
    command,
    'millrace store get metrics:revenue:total',
    "millrace store keys 'customer:*:orders'",
    'millrace store scan cdc:stats:',
  );
}

function getCommand(context: Context): Command {
  const command = new Command('get')
    .description('print the value of a key; a set is a line a member; exit 1 when there is none')
    .argument('<key>', 'the key')
    .option('--json', 'print the entry as a JSON object')
    .action(async (key: string, options: { json?: true }) => {
      const { terminal, signal } = context;
      const entries = callOperation(placeOf(context, command), 'store.get', { key }, signal);
      for await (const entry of entries) {
        if (entry.type === 'absent') context.foundFailure();
        if (options.json) await terminal.printJson(entry);
        else if (entry.type === 'absent') terminal.note(`no key ${key}`);
        else await terminal.printAll(entry.type === 'set' ? entry.members : [entry.value]);
      }
    });
  return withExamples(
    command,
    'millrace store get metrics:revenue:total',
    'millrace store get customer:1 --json',
  );
}

function keysCommand(context: Context): Command {
  const command = new Command('keys')
    .description('list keys in byte order')
    .argument('[pattern]', 'a pattern with * and ?, quoted; without them a prefix', '')
    .option('--limit <count>', 'stop after so many keys', parsePositiveInteger)
    .option('--json', 'print one JSON object a key')
    .action(async (pattern: string, options: ScanOptions) => {
      const { terminal, signal } = context;
      const scan = scanArguments(pattern, options);
      for await (const entry of callOperation(
        placeOf(context, command),
        'store.keys',
        scan,
        signal,
      )) {
        if (options.json) await terminal.printJson(entry);
        else await terminal.print(entry.key);
      }
    });
  return withExamples(command, 'millrace store keys', "millrace store keys 'customer:*:orders'");
}

function scanCommand(context: Context): Command {
  const command = new Command('scan')
    .description('print keys with their values')
    .argument('[pattern]', 'a pattern with * and ?, quoted; without them a prefix', '')
    .option('--limit <count>', 'stop after so many keys', parsePositiveInteger)
    .option('--json', 'print one JSON object a key')
    .action(async (pattern: string, options: ScanOptions) => {
      const { terminal, signal } = context;
      const scan = scanArguments(pattern, options);
      for await (const entry of callOperation(
        placeOf(context, command),
        'store.scan',
        scan,
        signal,
      )) {
        if (options.json) await terminal.printJson(entry);
        else await terminal.print(entryLine(entry, Date.now()));
      }
    });
  return withExamples(
    command,
    'millrace store scan metrics:',
    'millrace store scan cdc:stats: --json',
  );
}

function scanArguments(pattern: string, { limit }: ScanOptions) {
  return { pattern, ...(limit === undefined ? {} : { limit }) };
}

function entryLine(entry: StoreEntry, nowMs: number): string {
  if (entry.type === 'absent') return entry.key;
  if (entry.type === 'set') return `${entry.key} = {${entry.members.join(', ')}}`;
  const { key, value, expiresAtMs } = entry;
  const left = expiresAtMs === undefined ? '' : ` (${formatDuration(expiresAtMs - nowMs)} left)`;
  return `${key} = ${value}${left}`;
}
