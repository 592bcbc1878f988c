import { LmdbEventLog } from '../../src/adapters/lmdb/event-log.ts';
import { blocksOf } from '../../src/domain/record-block.ts';

// Appends numbers to `topic` of the log in the folder given, some at a time, and prints each
// number once its append has resolved; until it is killed.
const [dir = ''] = process.argv.slice(2);
const log = await LmdbEventLog.open({
  dir,
  retention: { ms: 3_600_000, bytes: 1 << 30 },
  segmentBytes: 256 * 1024,
});
await log.createTopics([{ name: 'topic', partitions: 1, cleanup: 'delete' }]);
const producer = await log.openProducer('numbers');
const padding = 'x'.repeat(500);
let next = producer.position === undefined ? 0 : Number(producer.position) + 1;
for (;;) {
  const appends = Array.from({ length: 5 }, () => {
    const n = next;
    next += 1;
    const record = {
      key: null,
      value: Buffer.from(`${n} ${padding}`),
      timestampMs: n,
      headers: [],
    };
    return producer
      .append(blocksOf([{ topic: 'topic', partition: 0, record }]), `${n}`)
      .then(() => process.stdout.write(`${n}\n`));
  });
  await Promise.all(appends);
}
