import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { LmdbEventLog } from '../../src/adapters/lmdb/event-log.ts';
import { DuckDbEngine } from '../../src/adapters/duckdb/engine.ts';
import { SHOP_MODES } from '../../src/batch/lake/column-type.ts';
import { LakeWriter } from '../../src/batch/lake/lake-writer.ts';
import { Lake } from '../../src/batch/lake/lake.ts';
import { blocksOf } from '../../src/domain/record-block.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { eventAt, ORDERS, PARTITIONS, TABLE } from '../lake-events.ts';

// Appends events to the log in the folder given, some at a time, and writes them into the lake
// there meanwhile; until it is killed. With `finish` it appends nothing, and ends when the lake
// holds all of the log.
const [dir = '', finish] = process.argv.slice(2);
await using log = await LmdbEventLog.open({
  dir: join(dir, 'log'),
  retention: { ms: 3_600_000, bytes: 1 << 30 },
});
await log.createTopics([{ name: ORDERS, partitions: PARTITIONS, cleanup: 'delete' }]);
const tempDirectory = join(dir, 'spill');
await using engine = await DuckDbEngine.open({ memoryLimit: '128MB', threads: 1, tempDirectory });
const writer = new LakeWriter({
  lake: await Lake.open(join(dir, 'lake')),
  log,
  engine,
  clock: systemClock,
  isTable: (topic) => topic === ORDERS,
  messageTopic: 'shop.message',
  deadLetterTopic: 'lake.dead-letters',
  describe: async () => TABLE,
  onMissingHistory: async () => {},
  modes: SHOP_MODES,
  flushEveryMs: 5,
  fileBytes: 300_000,
  onStatus: () => {},
});
const stop = new AbortController();
const writing = writer.run(stop.signal);
if (finish === 'finish') await writer.flush();
else await Promise.race([writing, append()]);
stop.abort();
await writing;

async function append(): Promise<never> {
  const producer = await log.openProducer('events');
  let next = producer.position === undefined ? 0 : Number(producer.position) + 1;
  for (;;) {
    const events = Array.from({ length: 50 }, () => eventAt(next++));
    const records = events.map(({ partition, key, value }) => ({
      topic: ORDERS,
      partition,
      record: { timestampMs: next, key, value, headers: [] },
    }));
    await producer.append(blocksOf(records), String(next - 1));
    if (next === 50) process.stdout.write('working\n');
    await wait(5);
  }
}
