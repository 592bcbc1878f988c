import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { defineTable } from '../../domain/table.ts';
import { append, eventually, INPUT, newLog, order, start, values } from '../../../test/stream.ts';
import { compile } from '../topology/compile.ts';
import { topology } from '../topology/topology.ts';
import { tumbling } from '../topology/windows.ts';
import { tickTopic } from './topology-subject.ts';

type Order = Readonly<{ id: number; amount: string }>;
const orders = defineTable<{ id: number }, Order>({ topic: INPUT, key: ['id'] });

const first = topology('first', {}, ({ created }) =>
  created(orders)
    .groupByKey()
    .windowedBy(tumbling({ sizeMs: 1000, graceMs: 5000 }))
    .count()
    .final()
    .to('between'),
);
const second = topology('second', {}, ({ topic }) => {
  const counts = topic<number>('between')
    .groupBy(() => 'all')
    .windowedBy(tumbling({ sizeMs: 1000 }))
    .count();
  counts
    .final()
    .map((_, { startMs }) => startMs)
    .to('closed', { key: () => null });
  counts.late().to('late');
});

test('what a topology makes of an idle table is not late for one that reads it', async () => {
  const log = await newLog();
  const compiled = [first, second].map((each) => compile(each, () => 1));
  const ticks = [first, second].map(({ name }) => tickTopic(name));
  await log.createTopics([
    ...compiled.flatMap(({ declares }) => declares),
    ...ticks.map((name) => ({ name, partitions: 1, cleanup: 'delete' }) as const),
  ]);
  const store = new MemoryStore();
  let passedMs = 0;
  const progress = async () => passedMs;
  const [writer, reader] = compiled.map((processor) => start({ log, store, processor, progress }));
  assert(writer !== undefined && reader !== undefined);
  await using _writer = writer;
  await using _reader = reader;
  // Commit times are 1000 + id.
  await append(log, [order(1, '1'), order(1001, '1'), order(2001, '1')]);
  for (const [timeMs, written] of [
    [7000, 1],
    [7500, 1],
    [8000, 2],
    [9000, 3],
  ] as const) {
    passedMs = timeMs;
    await eventually(async () => {
      writer.clock.turn(1000);
      reader.clock.turn(1000);
      return (await values(log, 'between')).length === written || undefined;
    });
    await reader.idle();
    for (let turns = 0; turns < 20; turns += 1) {
      reader.clock.turn(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  assert.deepEqual(await values(log, 'late'), []);
  assert.deepEqual(await values(log, 'closed'), ['1000', '2000']);
});
