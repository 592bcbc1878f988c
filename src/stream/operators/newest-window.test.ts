import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineTable } from '../../domain/table.ts';
import { TopologyTestDriver } from '../driver/topology-test-driver.ts';
import { topology } from '../topology/topology.ts';
import { tumbling } from '../topology/windows.ts';

type Sale = Readonly<{ id: number; product: number }>;
const sales = defineTable<{ id: number }, Sale>({ topic: 'shop.sales', key: ['id'] });

function driverWith(graceMs: number, partitions = 1): TopologyTestDriver {
  const build = topology('test', {}, ({ created }) => {
    const perSecond = created(sales)
      .groupBy(({ product }) => product)
      .windowedBy(tumbling({ sizeMs: 1000, graceMs }))
      .count();
    perSecond.newest().serve({ prefix: 'sold:', key: ({ key }) => String(key) });
  });
  return new TopologyTestDriver(build, { partitions });
}

describe('the newest window of a key', () => {
  for (const partitions of [1, 3]) {
    test(`is not replaced by what still comes to an older one, in ${partitions} partitions`, () => {
      const driver = driverWith(5000, partitions);
      driver.insert(sales, { id: 1, product: 7 }, { atMs: 500 });
      driver.insert(sales, { id: 2, product: 7 }, { atMs: 600 });
      assert.equal(driver.served('sold:7'), 2);
      driver.insert(sales, { id: 3, product: 7 }, { atMs: 1500 });
      driver.insert(sales, { id: 4, product: 7 }, { atMs: 700 });
      assert.equal(driver.served('sold:7'), 1);
      driver.insert(sales, { id: 5, product: 7 }, { atMs: 1600 });
      assert.equal(driver.served('sold:7'), 2);
    });
  }

  test('is its own for each key', () => {
    const driver = driverWith(5000);
    driver.insert(sales, { id: 1, product: 7 }, { atMs: 1500 });
    driver.insert(sales, { id: 2, product: 8 }, { atMs: 500 });
    assert.equal(driver.served('sold:8'), 1);
  });

  test('is forgotten when it has closed, and not before', () => {
    const driver = driverWith(2500);
    driver.insert(sales, { id: 1, product: 7 }, { atMs: 500 });
    driver.insert(sales, { id: 2, product: 7 }, { atMs: 1500 });
    driver.advanceTime(3499);
    driver.insert(sales, { id: 3, product: 7 }, { atMs: 900 });
    assert.equal(driver.served('sold:7'), 1, 'it came too late, or to an older window');
    driver.advanceTime(4499);
    assert.equal(driver.state('newest-1').size, 1);
    driver.advanceTime(4500);
    assert.equal(driver.state('newest-1').size, 0);
    driver.insert(sales, { id: 4, product: 7 }, { atMs: 6000 });
    assert.equal(driver.served('sold:7'), 1);
  });
});
