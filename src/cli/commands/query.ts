import { Command, InvalidArgumentError } from 'commander';
import { callOperation } from '../../app/operations/call.ts';
import type { KeptAnswer } from '../../app/operations/operations.ts';
import { parsePositiveInteger } from '../arguments.ts';
import { type Context, placeOf } from '../context.ts';
import { withExamples } from '../examples.ts';
import { formatTable } from '../table.ts';

type Flags = Readonly<{
  from?: number;
  to?: number;
  prefix?: string;
  limit?: number;
  json?: true;
}>;

export function queryCommand(context: Context): Command {
  const command = new Command('query')
    .description('print what an operator of a topology keeps: rows, aggregates, open windows')
    .argument('<processor>', 'whose operator')
    .argument(
      '[operator]',
      'as `millrace topology` names it; without one, those that keep something',
    )
    .argument('[key]', 'JSON, text, or the value of a one-column key; without one, all keys')
    .option('--from <time>', 'windows that end after it', parseTime)
    .option('--to <time>', 'windows that start before it', parseTime)
    .option('--prefix <text>', 'keys that start with it')
    .option('--limit <count>', 'at most so many (default: 1000)', parsePositiveInteger)
    .option('--json', 'print one JSON object a line')
    .action(
      async (
        processor: string,
        operator: string | undefined,
        key: string | undefined,
        { from, to, prefix, limit, json }: Flags,
      ) => {
        const { terminal, signal } = context;
        const args = {
          processor,
          ...(operator !== undefined && { operator }),
          ...(key !== undefined && { key }),
          ...(from !== undefined && { fromMs: from }),
          ...(to !== undefined && { toMs: to }),
          ...(prefix !== undefined && { prefix }),
          ...(limit !== undefined && { limit }),
        };
        const place = placeOf(context, command);
        const answers = await Array.fromAsync(callOperation(place, 'query', args, signal));
        if (json) {
          for (const answer of answers) await terminal.printJson(answer);
        } else {
          await terminal.printAll(answers.length === 0 ? ['Nothing is kept.'] : linesOf(answers));
        }
      },
    );
  return withExamples(
    command,
    'millrace query stream-processor',
    'millrace query stream-processor new-by-state NY',
    'millrace query stream-processor activity --from 2026-01-31 --limit 10 --json',
  );
}

function linesOf(answers: readonly KeptAnswer[]): string[] {
  const [first] = answers;
  if (first?.kind === 'operator') {
    return formatTable(
      [{ title: 'OPERATOR' }, { title: 'DOES' }, { title: 'KEEPS' }],
      answers.flatMap((each) =>
        each.kind === 'operator' ? [[each.operator, each.does, each.keeps]] : [],
      ),
    );
  }
  if (first?.kind === 'window') {
    return formatTable(
      [{ title: 'FROM' }, { title: 'TO' }, { title: 'KEY' }, { title: 'VALUE' }],
      answers.flatMap((each) =>
        each.kind === 'window'
          ? [[timeOf(each.startMs), timeOf(each.endMs), jsonOf(each.key), jsonOf(each.value)]]
          : [],
      ),
    );
  }
  return formatTable(
    [{ title: 'KEY' }, { title: 'VALUE' }],
    answers.flatMap((each) =>
      each.kind === 'value' ? [[jsonOf(each.key), jsonOf(each.value)]] : [],
    ),
  );
}

function jsonOf(value: unknown): string {
  return JSON.stringify(value);
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

function parseTime(text: string): number {
  const timeMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timeMs))
    throw new InvalidArgumentError('Expected a time such as 2026-01-31T12:00:00Z.');
  return timeMs;
}
