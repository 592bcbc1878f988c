import { Command } from 'commander';
import type { TopicFacts } from '../../app/operations/operations.ts';
import { callOperation } from '../../app/operations/call.ts';
import { placeOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { formatTable } from '../table.ts';
import { formatCount } from '../units.ts';

export function topicsCommand(context: Context): Command {
  const command = new Command('topics')
    .description('list the topics of the event log with their offsets')
    .option('--json', 'print one JSON object a topic')
    .action(async (options: { json?: true }) => {
      const { terminal, signal } = context;
      const facts: TopicFacts[] = [];
      for await (const topic of callOperation(placeOf(context, command), 'topics', {}, signal)) {
        if (options.json) await terminal.printJson(topic);
        else facts.push(topic);
      }
      if (options.json) return;
      await terminal.printAll(facts.length === 0 ? ['No topics yet.'] : topicLines(facts));
    });
  return withExamples(command, 'millrace topics', 'millrace topics --json');
}

/** A line a partition, the topic named on its first. */
export function topicLines(facts: readonly TopicFacts[]): string[] {
  return formatTable(
    [
      { title: 'TOPIC' },
      { title: 'PARTITION', align: 'right' },
      { title: 'START', align: 'right' },
      { title: 'END', align: 'right' },
      { title: 'RECORDS', align: 'right' },
      { title: 'CLEANUP' },
    ],
    facts.flatMap(({ topic, partitions, records, cleanup }) =>
      partitions.map(({ partition, start, end }, index) => [
        index === 0 ? topic : '',
        String(partition),
        formatCount(start),
        formatCount(end),
        index === 0 ? formatCount(records) : '',
        index === 0 ? cleanup : '',
      ]),
    ),
  );
}
