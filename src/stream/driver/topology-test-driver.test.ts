import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineTable } from '../../domain/table.ts';
import { type Sources, topology } from '../topology/topology.ts';
import { tumbling } from '../topology/windows.ts';
import { TopologyTestDriver } from './topology-test-driver.ts';

type Order = Readonly<{ id: number; customer: number; amount: number }>;
const orders = defineTable<{ id: number }, Order>({ topic: 'shop.orders', key: ['id'] });
const customers = defineTable<{ id: number }, { id: number; state: string }>({
  topic: 'shop.customers',
  key: ['id'],
});
const order = (id: number, customer: number, amount = 1): Order => ({ id, customer, amount });

function driverOf(build: (sources: Sources) => void, partitions = 1): TopologyTestDriver {
  return new TopologyTestDriver(topology('test', {}, build), { partitions });
}

for (const partitions of [1, 3]) {
  describe(`with ${partitions} partitions`, () => {
    test('counts by key in windows, and tells each window once when it has closed', () => {
      const driver = driverOf(({ created }) => {
        const counts = created(orders)
          .groupBy((row) => row.customer)
          .windowedBy(tumbling({ sizeMs: 60_000, graceMs: 10_000 }))
          .count();
        counts
          .final()
          .map((count, { key, startMs }) => ({ key, startMs, count }))
          .to('final', { key: () => null });
        counts.late().to('late');
      }, partitions);
      driver.insert(orders, order(1, 7), { atMs: 1000 });
      driver.insert(orders, order(2, 7), { atMs: 59_999 });
      driver.copy(orders, order(9, 7), { atMs: 1000 });
      driver.insert(orders, order(3, 8), { atMs: 60_000 });
      driver.insert(orders, order(4, 7), { atMs: 500 });
      driver.advanceTime(69_999);
      assert.deepEqual(driver.read('final'), []);
      driver.advanceTime(70_000);
      const found = driver.read('final').map(({ value }) => value);
      assert.deepEqual(found, [{ key: 7, startMs: 0, count: 3 }]);
      driver.insert(orders, order(5, 7), { atMs: 100 });
      assert.equal(driver.late, 1);
      assert.deepEqual(
        driver.read('late').map(({ key }) => key),
        ['7'],
      );
    });

    test('takes back what a row was, wherever it moves', () => {
      const driver = driverOf(({ table }) => {
        const perState = table(customers).groupBy((row) => row.state);
        perState.count().serve({ prefix: 'per-state:' });
      }, partitions);
      driver.insert(customers, { id: 1, state: 'NY' });
      driver.insert(customers, { id: 2, state: 'NY' });
      driver.copy(customers, { id: 2, state: 'NY' });
      assert.equal(driver.served('per-state:NY'), 2);
      driver.update(customers, { id: 2, state: 'NY' }, { id: 2, state: 'CA' });
      assert.equal(driver.served('per-state:NY'), 1);
      assert.equal(driver.served('per-state:CA'), 1);
      driver.delete(customers, { id: 1, state: 'NY' });
      assert.equal(driver.served('per-state:NY'), undefined);
      driver.truncate(customers);
      assert.deepEqual(driver.servedKeys('per-state:'), []);
    });
  });
}

test('streams of two tables meet where they are merged, and neither holds the other back', () => {
  const driver = driverOf(({ created }) => {
    const both = created(orders)
      .map(() => 'order')
      .selectKey(() => 'all')
      .merge(
        created(customers)
          .map(() => 'customer')
          .selectKey(() => 'all'),
      );
    both
      .groupByKey()
      .windowedBy(tumbling({ sizeMs: 1000 }))
      .count()
      .final()
      .to('final', { key: () => 'x' });
  });
  driver.insert(orders, order(1, 1), { atMs: 100 });
  driver.insert(customers, { id: 1, state: 'NY' }, { atMs: 200 });
  driver.insert(orders, order(2, 1), { atMs: 5000 });
  assert.deepEqual(driver.read('final'), []);
  driver.insert(customers, { id: 2, state: 'NY' }, { atMs: 1100 });
  assert.deepEqual(driver.read('final'), [{ key: 'x', value: 2, timestampMs: 999 }]);
  driver.advanceTime(6000);
  assert.deepEqual(
    driver.read('final').map(({ value }) => value),
    [1, 1],
  );
});

test('a source has its own time, whatever another of the same topic goes by', () => {
  const driver = driverOf(({ stream, created }) => {
    const second = tumbling({ sizeMs: 1000 });
    const count = { key: (_: unknown, { startMs }: { startMs: number }) => String(startMs) };
    created(orders, { timeMs: ({ amount }) => amount })
      .groupBy(() => 'all')
      .windowedBy(second)
      .count()
      .final()
      .to('by-amount', count);
    stream(orders)
      .groupBy(() => 'all')
      .windowedBy(second)
      .count()
      .final()
      .to('by-commit', count);
  });
  driver.insert(orders, order(1, 1, 1500), { atMs: 4500 });
  driver.delete(orders, order(1, 1, NaN), { atMs: 4600 });
  driver.advanceTime(9000);
  const found = ['by-amount', 'by-commit'].map((topic) =>
    driver.read(topic).map(({ key, value }) => [key, value]),
  );
  assert.deepEqual(found, [[['1000', 1]], [['4000', 2]]]);
});

test('an aggregate that is changed in place fails, as it could not be undone', () => {
  const driver = driverOf(({ created }) => {
    created(orders)
      .groupBy((row) => row.customer)
      .aggregate<number[]>(
        () => [],
        (ids, { id }) => {
          ids.push(id);
          return ids;
        },
        { name: 'ids' },
      );
  });
  driver.insert(orders, order(1, 7));
  assert.throws(() => driver.insert(orders, order(2, 7)), TypeError);
  assert.deepEqual([...driver.state('ids')], [['7', [1]]]);
});

test('state is what JSON keeps of it, as it would be after a restart', () => {
  const driver = driverOf(({ created }) => {
    created(orders)
      .groupBy((row) => row.customer)
      .aggregate(
        () => ({ at: new Date(0) }),
        (kept) => kept,
        { name: 'dates' },
      );
  });
  driver.insert(orders, order(1, 7));
  assert.deepEqual([...driver.state('dates')], [['7', { at: '1970-01-01T00:00:00.000Z' }]]);
});
