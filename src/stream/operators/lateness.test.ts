import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineTable } from '../../domain/table.ts';
import { TopologyTestDriver } from '../driver/topology-test-driver.ts';
import { topology } from '../topology/topology.ts';
import { type FixedWindow, hopping, tumbling } from '../topology/windows.ts';

type Sale = Readonly<{ id: number }>;
const sales = defineTable<Sale, Sale>({ topic: 'shop.sales', key: ['id'] });

function driverWith(window: FixedWindow): TopologyTestDriver {
  const build = topology('test', {}, ({ created }) => {
    const { onTime, late } = created(sales).byLateness(window);
    late.to('late');
    onTime.to('on-time');
    const counts = onTime.groupBy(() => 'all').windowedBy(window);
    counts.count().late().to('late-there');
  });
  return new TopologyTestDriver(build);
}

function idsIn(driver: TopologyTestDriver, topic: string): number[] {
  return driver.read(topic).map(({ value }) => (value as Sale).id);
}

test('what comes after its window has closed is late, once for all windows behind', () => {
  const driver = driverWith(tumbling({ sizeMs: 1000, graceMs: 500 }));
  driver.insert(sales, { id: 1 }, { atMs: 1499 });
  driver.insert(sales, { id: 2 }, { atMs: 999 });
  driver.insert(sales, { id: 3 }, { atMs: 1500 });
  driver.insert(sales, { id: 4 }, { atMs: 999 });
  driver.insert(sales, { id: 5 }, { atMs: 1000 });
  assert.deepEqual(idsIn(driver, 'on-time'), [1, 2, 3, 5]);
  assert.deepEqual(idsIn(driver, 'late'), [4]);
  assert.equal(driver.late, 1);
  assert.deepEqual(idsIn(driver, 'late-there'), []);
});

test('of windows that overlap the last counts', () => {
  const driver = driverWith(hopping({ sizeMs: 1000, advanceMs: 250 }));
  driver.insert(sales, { id: 1 }, { atMs: 1749 });
  driver.insert(sales, { id: 2 }, { atMs: 800 });
  assert.deepEqual(idsIn(driver, 'late'), []);
  driver.insert(sales, { id: 3 }, { atMs: 1750 });
  driver.insert(sales, { id: 4 }, { atMs: 999 });
  assert.deepEqual(idsIn(driver, 'late'), [4]);
});
