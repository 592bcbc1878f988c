import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';

// Joins a group and prints the partitions that it is assigned, a line an assignment; until it is killed.
const [broker = '', group = '', topic = ''] = process.argv.slice(2);
const log = await KafkaEventLog.open(
  { brokers: [broker] },
  { retention: { ms: 3_600_000, bytes: 1 << 30 } },
);
for await (const assignment of log.join(group, [topic], new AbortController().signal)) {
  process.stdout.write(`${JSON.stringify(assignment.map(({ partition }) => partition))}\n`);
}
