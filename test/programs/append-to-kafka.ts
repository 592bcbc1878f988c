import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { MillraceError } from '../../src/domain/errors.ts';
import { blocksOf } from '../../src/domain/record-block.ts';

// Appends numbers to both partitions of a topic, some at a time, and prints each once its append
// has resolved; until it is killed, or an append is refused, whose code it prints.
const [broker = '', name = '', topic = ''] = process.argv.slice(2);
const log = await KafkaEventLog.open(
  { brokers: [broker] },
  { retention: { ms: 3_600_000, bytes: 1 << 30 } },
);
const producer = await log.openProducer(name);
let next = producer.position === undefined ? 0 : Number(producer.position) + 1;
try {
  for (;;) {
    const appends = Array.from({ length: 5 }, () => {
      const n = next;
      next += 1;
      const record = { key: null, value: Buffer.from(`${n}`), timestampMs: n, headers: [] };
      const blocks = blocksOf([0, 1].map((partition) => ({ topic, partition, record })));
      return producer.append(blocks, `${n}`).then(() => process.stdout.write(`${n}\n`));
    });
    await Promise.all(appends);
  }
} catch (error) {
  process.stdout.write(`${error instanceof MillraceError ? error.code : String(error)}\n`);
}
await log[Symbol.asyncDispose]();
