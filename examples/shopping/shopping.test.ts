import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TopologyTestDriver } from '../../src/testing.ts';
import { type Order, type OrderItem, orderItems, orders } from '../../pipelines/shop/tables.ts';
import { shopping } from './shopping.ts';

const order = (id: number, customer_id: number) => ({ id, customer_id }) as Order;
const item = (id: number, order_id: number, quantity: number) =>
  ({ id, order_id, quantity }) as OrderItem;

test('orders that follow each other are one spree, which is told when it is over', () => {
  const driver = new TopologyTestDriver(shopping);
  driver.insert(orders, order(1, 7), { atMs: 0 });
  driver.insert(orderItems, item(1, 1, 2), { atMs: 5 });
  driver.insert(orders, order(2, 7), { atMs: 20 * 60_000 });
  driver.insert(orderItems, item(2, 2, 3), { atMs: 20 * 60_000 });
  assert.deepEqual(driver.read('shopping.warehouse'), []);

  driver.advanceTime(60 * 60_000);
  const [spree, ...others] = driver.read('shopping.warehouse');
  assert.deepEqual(others, []);
  assert.deepEqual(spree?.value, {
    customer_id: 7,
    began_at: '1970-01-01T00:00:00.005Z',
    units: 5,
  });
});
