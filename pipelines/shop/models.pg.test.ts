import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DuckDbWarehouse } from '../../src/adapters/duckdb/warehouse.ts';
import { isGood } from '../../src/batch/run/run-report.ts';
import { type OpenWarehouse, ShopLake } from '../../test/contracts/shop-models-lake.ts';
import { shopModelsContract } from '../../test/contracts/shop-models.ts';

const openDuckDb: OpenWarehouse = (tempDirectory) =>
  DuckDbWarehouse.open({ memoryLimit: '512MB', tempDirectory });

shopModelsContract('DuckDB', openDuckDb);

test('the models make of given rows what their unit tests expect', async () => {
  await using shop = await ShopLake.open(ONE_ORDER, openDuckDb);
  await shop.apply([]);
  const reports = await shop.unitTests();
  assert.deepEqual(
    reports.filter(({ outcome }) => outcome !== 'passed'),
    [],
  );
  assert.notEqual(reports.length, 0);
});

test('the models are made of a shop that has had no order yet', async () => {
  await using shop = await ShopLake.open('SELECT', openDuckDb);
  await shop.apply([]);
  const report = await shop.run(Date.now());
  assert.ok(isGood(report), JSON.stringify(report, null, 2));
});

/** So that the lake knows each table. */
const ONE_ORDER = `
  INSERT INTO orders (customer_id, total_amount) VALUES (1, 1);
  INSERT INTO order_items (order_id, product_id, quantity, unit_price) VALUES (1, 1, 1, 1);`;
