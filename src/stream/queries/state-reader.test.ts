import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { append, change, INPUT, newLog, order, start } from '../../../test/stream.ts';
import { defineTable } from '../../domain/table.ts';
import { ownTopics } from '../stage/topology-subject.ts';
import { compile } from '../topology/compile.ts';
import { type Sources, topology } from '../topology/topology.ts';
import { hopping, session, tumbling } from '../topology/windows.ts';
import { StateReader } from './state-reader.ts';

type Order = Readonly<{ id: number; amount: string }>;
const orders = defineTable<{ id: number }, Order>({ topic: INPUT, key: ['id'] });

/** Commit times are 1000 + id. */
function everything({ created, table }: Sources): void {
  const byAmount = created(orders).groupBy(({ amount }) => amount);
  byAmount.count({ name: 'counts' });
  byAmount.windowedBy(tumbling({ sizeMs: 1000 })).count({ name: 'perSecond' });
  const sliding = byAmount.windowedBy(hopping({ sizeMs: 2000, advanceMs: 1000 }));
  sliding.count({ name: 'panes' }).final().map(String);
  sliding.count({ name: 'wholes' }).updates().map(String);
  byAmount.windowedBy(session({ gapMs: 100 })).count({ name: 'sessions' });
  const rows = table(orders, { name: 'rows' });
  rows.groupBy(({ amount }) => amount).count({ name: 'ofAmount' });
}

async function readerOf(partitions: number): Promise<StateReader> {
  const log = await newLog(partitions);
  const compiled = compile(topology('orders', {}, everything), () => partitions);
  await log.createTopics(ownTopics(compiled));
  const store = new MemoryStore();
  await using running = start({ log, store, processor: compiled });
  const at = (id: number) => id % partitions;
  const given = [5, 10, 600, 1200].map((id) => order(id, id === 10 ? 'b' : 'a', at(id)));
  await append(log, [...given, change('d', 5, null, at(5))]);
  await running.idle();
  return new StateReader(store, compiled);
}

for (const partitions of [1, 2]) {
  test(`reads rows, aggregates and windows of ${partitions} partitions, by key and range`, async () => {
    const reader = await readerOf(partitions);
    assert.equal(await reader.get('counts', 'a'), 3);
    assert.equal(await reader.get('counts', 'none'), undefined);
    assert.deepEqual(await reader.get('rows', { id: 600 }), { id: 600, amount: 'a' });
    assert.equal(await reader.get('rows', { id: 5 }), undefined);
    assert.equal(await reader.get('ofAmount', 'a'), 2);
    assert.deepEqual(await reader.entries('counts'), [
      { key: 'a', value: 3 },
      { key: 'b', value: 1 },
    ]);
    assert.deepEqual(await reader.entries('counts', { prefix: 'b' }), [{ key: 'b', value: 1 }]);
    assert.equal((await reader.entries('counts', { limit: 1 })).length, 1);

    const all = await reader.windows('perSecond', { fromMs: 2000 });
    assert.deepEqual(all, [{ key: 'a', startMs: 2000, endMs: 3000, value: 1 }]);
    assert.deepEqual(await reader.windows('perSecond', { key: 'a', toMs: 1000 }), []);
    const open = { key: 'a', fromMs: 2500 };
    assert.deepEqual(await reader.windows('wholes', open), [
      { key: 'a', startMs: 1000, endMs: 3000, value: 3 },
      { key: 'a', startMs: 2000, endMs: 4000, value: 1 },
    ]);
    assert.deepEqual(await reader.windows('panes', open), await reader.windows('wholes', open));
    assert.deepEqual(await reader.windows('sessions', { key: 'a', fromMs: 2200 }), [
      { key: 'a', startMs: 2200, endMs: 2300, value: 1 },
    ]);
  });
}

test('names the operators that keep what is asked for', async () => {
  const reader = await readerOf(1);
  assert.deepEqual(
    reader.operators.map(({ operator, keeps }) => `${operator} ${keeps}`),
    [
      'counts values',
      'perSecond windows',
      'panes windows',
      'wholes windows',
      'sessions windows',
      'rows values',
      'ofAmount values',
    ],
  );
  const error = { code: 'usage', message: /counts, rows, ofAmount/ };
  await assert.rejects(reader.get('perSecond', 'a'), error);
  await assert.rejects(reader.entries('filter-1'), error);
});
