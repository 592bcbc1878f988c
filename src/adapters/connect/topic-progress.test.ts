import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryEventLog } from '../memory/event-log.ts';
import { blocksOf } from '../../domain/record-block.ts';
import { TopicProgress } from './topic-progress.ts';

const TOPIC = 'dbserver1.public.orders';

test('the lag is that of the last change, also where retention has left it alone', async () => {
  const log = new MemoryEventLog();
  await log.createTopics([{ name: TOPIC, partitions: 1, cleanup: 'delete' }]);
  const producer = await log.openProducer('debezium');
  const append = (timestampMs: number): Promise<void> => {
    const value = Buffer.from(JSON.stringify({ op: 'c', source: { ts_ms: 1000 } }));
    const record = { timestampMs, key: null, value, headers: [] };
    return producer.append(blocksOf([{ topic: TOPIC, partition: 0, record }]));
  };
  const progress = new TopicProgress(log, () => 1);
  await append(1000);
  await progress.look([TOPIC]);
  await append(1007);
  removeFirst(log);
  await progress.look([TOPIC]);
  assert.deepEqual([progress.changes, progress.lagMs], [1, 7]);
});

/** As retention does it. */
function removeFirst(log: MemoryEventLog): void {
  const offsets = log.offsets.bind(log);
  const read = log.read.bind(log);
  log.offsets = async (partition) => ({ ...(await offsets(partition)), start: 1 });
  log.read = (from, signal) => {
    assert.ok(from.offset >= 1, 'that was removed');
    return read(from, signal);
  };
}
