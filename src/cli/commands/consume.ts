import { Command, Option } from 'commander';
import type { ConsumedRecord } from '../../app/operations/operations.ts';
import { callOperation } from '../../app/operations/call.ts';
import { parsePositiveInteger, parseStartPoint, type StartPoint } from '../arguments.ts';
import { placeOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';

type ConsumeOptions = Readonly<{
  from: StartPoint;
  untilEnd?: true;
  follow?: true;
  key?: string;
  limit?: number;
  json?: true;
}>;

export function consumeCommand(context: Context): Command {
  const command = new Command('consume')
    .description('print the records of a topic, or of all topics that match a pattern')
    .argument('<topic>', 'a topic, or a pattern with * and ?, quoted')
    .addOption(
      new Option('--from <where>', 'beginning, end, an offset, or a time such as 2026-01-31T12:00Z')
        .argParser(parseStartPoint)
        .default('beginning'),
    )
    .addOption(
      new Option('--until-end', 'stop at the end as it is now (default)').conflicts('follow'),
    )
    .option('--follow', 'go on with what is appended later (default with --from end)')
    .option('--key <key>', 'only records of this key: JSON, text, or the value of a one-column key')
    .option('--limit <count>', 'stop after so many records', parsePositiveInteger)
    .option('--json', 'print one JSON object a record')
    .action(async (topics: string, options: ConsumeOptions) => {
      const { terminal, signal } = context;
      const follow = options.follow ?? (options.from === 'end' && options.untilEnd === undefined);
      if (follow) context.runsUntilTold();
      const records = callOperation(
        placeOf(context, command),
        'consume',
        {
          topics,
          from: options.from,
          follow,
          ...(options.key === undefined ? {} : { key: options.key }),
          ...(options.limit === undefined ? {} : { limit: options.limit }),
        },
        signal,
      );
      for await (const record of records) {
        if (options.json) await terminal.printJson(record);
        else await terminal.print(recordLine(record, terminal));
      }
    });
  return withExamples(
    command,
    'millrace consume dbserver1.public.orders',
    "millrace consume 'dbserver1.public.*' --from end --follow",
    'millrace consume dbserver1.public.orders --key 42 --json | jq .value.after.status',
    'millrace consume dbserver1.public.orders --from 2026-01-31T12:00:00Z --limit 10',
  );
}

function recordLine(record: ConsumedRecord, { colours }: Terminal): string {
  const { topic, partition, offset, timestamp, key, value } = record;
  return [
    colours.dim(new Date(timestamp).toISOString()),
    colours.cyan(`${topic}-${partition}@${offset}`),
    colours.yellow(JSON.stringify(key)),
    value === null ? colours.dim('(tombstone)') : summary(value),
  ].join(' ');
}

/** A change event as its operation and its row; anything else as it is. */
function summary(value: unknown): string {
  if (typeof value !== 'object' || value === null || !('op' in value)) return JSON.stringify(value);
  const { op, before, after } = value as { op: unknown; before?: unknown; after?: unknown };
  return `${String(op)} ${JSON.stringify(after ?? before ?? null)}`;
}
