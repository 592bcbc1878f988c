import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryEventLog } from '../adapters/memory/event-log.ts';
import { MemoryStore } from '../adapters/memory/store.ts';
import { blocksOf } from '../domain/record-block.ts';
import { MillraceError } from '../domain/errors.ts';
import { defineTable, type Sources, topology } from '../index.ts';
import { composeProcessors, topicsOf } from './compose.ts';
import { definePipeline } from './pipeline.ts';

const RECORDS = 9;

test('keeps no more records in flight than told: half of them in each of two commits', async () => {
  const pipeline = definePipeline({
    name: 'test',
    processors: [{ name: 'nothing', topics: ['rows'], process: () => {} }],
  });
  const log = new MemoryEventLog();
  await log.createTopics(topicsOf(pipeline));
  const producer = await log.openProducer('test');
  const record = { timestampMs: 0, key: null, value: Buffer.from('no change'), headers: [] };
  const rows = Array.from({ length: RECORDS }, () => ({ topic: 'rows', partition: 0, record }));
  await producer.append(blocksOf(rows));

  const store = new MemoryStore();
  const committed: number[] = [];
  const done = new AbortController();
  const commit = store.commit.bind(store);
  store.commit = async (given) => {
    const { 'rows-0': from = 0 } = given.from;
    const { 'rows-0': to = 0 } = given.to;
    committed.push(to - from);
    await commit(given);
    if (to === RECORDS) done.abort();
  };
  const [part] = composeProcessors(pipeline, { log, store }, { bufferRecords: 4 });
  await part?.run(done.signal);
  assert.deepEqual(committed, [2, 2, 2, 2, 1]);
});

test('refuses two topologies that serve the same keys', () => {
  const serving = (name: string, prefix: string) =>
    topology(name, {}, ({ topic }) => topic('rows').serve({ prefix }));
  const withPrefix = (prefix: string) =>
    definePipeline({
      name: 'test',
      processors: [serving('a', 'figures:'), serving('b', prefix)],
    });
  assert.throws(() => topicsOf(withPrefix('figures:latest')), {
    code: 'topology_invalid',
    message: /serve-1 of a serves .* and serve-1 of b under/,
  });
  assert.doesNotThrow(() => topicsOf(withPrefix('others:')));
});

test('refuses topics that cannot be, that are tables, and a topology that reads what it writes', () => {
  const orders = defineTable<{ id: number }, { id: number }>({ topic: 'shop.orders', key: ['id'] });
  const problemOf = (build: (sources: Sources) => void) => {
    const processors = [topology('a', {}, build)];
    assert.throws(
      () => topicsOf(definePipeline({ name: 'test', processors })),
      (error) => {
        assert.ok(error instanceof MillraceError && error.code === 'topology_invalid');
        assert.match(String(error.facts['problems']), /to-1|bad topic/);
        return true;
      },
    );
  };
  problemOf(({ topic }) => topic('rows').to('bad topic!'));
  problemOf(({ topic }) => topic('rows').to('rows'));
  problemOf(({ stream, topic }) => {
    stream(orders);
    topic('rows').to('shop.orders');
  });
});
