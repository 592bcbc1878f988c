import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { orders, products } from '../tables.ts';
import type { Alert } from './alerts.ts';
import { ShopDriver, START_MS } from './shop-driver.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;
const MIDNIGHT_MS = Date.UTC(2026, 2, 2);

const at = (seconds: number): number => START_MS + seconds * SECOND_MS;
const times = <T>(many: number, make: (n: number) => T): T[] =>
  Array.from({ length: many }, (_, n) => make(n));

function alertsOf({ driver }: ShopDriver): (Alert & { key: string | null })[] {
  return driver.read('realtime-alerts').map(({ key, value }) => ({ key, ...(value as Alert) }));
}

describe('the figures of a minute', () => {
  test('are updated with each record, exact to the cent', () => {
    const shop = new ShopDriver();
    shop.order(at(1), { total_amount: '0.10' });
    shop.order(at(2), { total_amount: '0.20' });
    shop.order(at(3), { total_amount: '0.25' });
    shop.customer(at(4));
    shop.item(at(5));
    const figures = {
      orders_per_minute: 3,
      revenue_per_minute: '0.55',
      customers_per_minute: 1,
      avg_order_value: '0.18',
      buffer_sizes: { customers: 1, products: 0, orders: 3, order_items: 1 },
    };
    assert.deepEqual(shop.served('realtime:metrics:20260301_1200'), figures);
    assert.deepEqual(shop.served('realtime:metrics:latest'), figures);
  });

  test('are final when the minute closes, ten seconds after its end', () => {
    const shop = new ShopDriver();
    shop.order(at(59), { total_amount: '5.00' });
    shop.driver.advanceTime(at(69));
    assert.deepEqual(shop.driver.read('realtime-metrics'), []);
    shop.driver.advanceTime(at(70));
    const [{ key, value } = { key: null, value: null }] = shop.driver.read('realtime-metrics');
    assert.equal(key, '2026-03-01T12:00:00.000Z');
    assert.deepEqual(value, {
      minute: key,
      orders: 1,
      revenue: '5.00',
      customers: 0,
      avg_order_value: '5.00',
    });
    const { buffer_sizes: inFlight } = shop.served('realtime:metrics:20260301_1200') as {
      buffer_sizes: unknown;
    };
    assert.deepEqual(inFlight, { customers: 0, products: 0, orders: 0, order_items: 0 });
  });

  test('go back to no older minute under `latest`', () => {
    const shop = new ShopDriver();
    shop.order(at(61), { total_amount: '1.00' });
    shop.order(at(59), { total_amount: '9.00' });
    const revenue = (key: string) =>
      (shop.served(`realtime:metrics:${key}`) as { revenue_per_minute: string }).revenue_per_minute;
    assert.equal(revenue('latest'), '1.00');
    assert.equal(revenue('20260301_1200'), '9.00');
    shop.driver.advanceTime(at(120));
    assert.equal(revenue('latest'), '1.00', 'nor when the older one closes');
  });

  test('expire after an hour, those under `latest` after five minutes', () => {
    const shop = new ShopDriver();
    shop.order(at(0));
    shop.driver.advanceTime(at(70));
    shop.driver.advanceTime(at(59) + 5 * MINUTE_MS);
    assert.notEqual(shop.served('realtime:metrics:latest'), undefined);
    shop.driver.advanceTime(at(60) + 5 * MINUTE_MS);
    assert.equal(shop.served('realtime:metrics:latest'), undefined);
    shop.driver.advanceTime(at(59) + 60 * MINUTE_MS);
    assert.notEqual(shop.served('realtime:metrics:20260301_1200'), undefined);
    shop.driver.advanceTime(at(60) + 60 * MINUTE_MS);
    assert.equal(shop.served('realtime:metrics:20260301_1200'), undefined);
  });

  test('have no record that was copied, changed or deleted', () => {
    const shop = new ShopDriver();
    const made = shop.order(at(1));
    shop.driver.copy(orders, { ...made, id: 77 }, { atMs: at(2) });
    shop.driver.update(orders, made, { ...made, total_amount: '5000.00' }, { atMs: at(3) });
    shop.driver.delete(orders, made, { atMs: at(4) });
    const figures = shop.served('realtime:metrics:latest') as { orders_per_minute: number };
    assert.equal(figures.orders_per_minute, 1);
    assert.deepEqual(alertsOf(shop), []);
  });
});

describe('the figures of a day', () => {
  test('count what is new, and go with the day', () => {
    const shop = new ShopDriver();
    shop.customer(at(1), { state: 'TX' });
    shop.customer(at(2), { state: 'TX' });
    shop.customer(at(3), { state: null });
    shop.product(at(4), { category: 'Home & Garden' });
    assert.equal(shop.served('realtime:geo:customers:TX'), 2);
    assert.equal(shop.served('realtime:geo:customers:unknown'), 1);
    assert.equal(shop.served('realtime:categories:Home & Garden'), 1);
    shop.driver.advanceTime(MIDNIGHT_MS - 1);
    assert.equal(shop.served('realtime:geo:customers:TX'), 2);
    shop.driver.advanceTime(MIDNIGHT_MS);
    assert.equal(shop.served('realtime:geo:customers:TX'), undefined);
    assert.equal(shop.served('realtime:categories:Home & Garden'), undefined);
  });

  test('begin anew at midnight, whatever still comes from the day before', () => {
    const shop = new ShopDriver();
    shop.customer(MIDNIGHT_MS - 5000);
    shop.customer(MIDNIGHT_MS + 1000);
    shop.customer(MIDNIGHT_MS - 1000);
    assert.equal(shop.served('realtime:geo:customers:NY'), 1);
  });

  test('tell the last order of each customer, for a day', () => {
    const shop = new ShopDriver();
    shop.order(at(5), { customer_id: 7, total_amount: '20.00' });
    shop.order(at(3), { customer_id: 7, total_amount: '30.00' });
    shop.order(at(4), { customer_id: null });
    assert.deepEqual(shop.served('realtime:customer:7:activity'), {
      last_order_time: '2026-03-01T12:00:05.000Z',
      last_order_amount: '20.00',
      order_count_today: 2,
    });
    assert.deepEqual(shop.driver.servedKeys('realtime:customer:'), [
      'realtime:customer:7:activity',
    ]);
    shop.driver.advanceTime(at(5) + DAY_MS - 1);
    assert.notEqual(shop.served('realtime:customer:7:activity'), undefined);
    shop.driver.advanceTime(at(5) + DAY_MS);
    assert.equal(shop.served('realtime:customer:7:activity'), undefined);
  });
});

test('the velocity of a product is that of its newest minute, for five minutes', () => {
  const shop = new ShopDriver();
  shop.item(at(1), { product_id: 3, quantity: 2 });
  shop.item(at(2), { product_id: 3, quantity: 1 });
  shop.item(at(3), { product_id: null });
  const key = 'realtime:product:3:velocity';
  assert.deepEqual(shop.served(key), {
    sales_per_minute: 3,
    window_start: '2026-03-01T12:00:00.000Z',
  });
  shop.item(at(62), { product_id: 3, quantity: 4 });
  shop.item(at(58), { product_id: 3, quantity: 1 });
  assert.deepEqual(shop.served(key), {
    sales_per_minute: 4,
    window_start: '2026-03-01T12:01:00.000Z',
  });
  shop.driver.advanceTime(at(62) + 5 * MINUTE_MS);
  assert.equal(shop.served(key), undefined);
});

describe('alerts', () => {
  test('an order above 1000 is told, one of 1000 is not', () => {
    const shop = new ShopDriver();
    shop.order(at(1), { total_amount: '1000.00' });
    const { id } = shop.order(at(2), { total_amount: '1000.01', customer_id: 4 });
    const data = { order_id: id, customer_id: 4, amount: '1000.01', threshold: '1000' };
    const told = {
      type: 'high_value_order',
      severity: 'MEDIUM',
      data,
      timestamp: '2026-03-01T12:00:02.000Z',
    };
    assert.deepEqual(alertsOf(shop), [{ key: 'high_value_order', ...told }]);
    assert.deepEqual(shop.driver.servedKeys('alerts:'), [
      `alerts:high_value_order:${at(2) / 1000}-${id}`,
    ]);
    assert.deepEqual(shop.served(`alerts:high_value_order:${at(2) / 1000}-${id}`), told);
    shop.driver.advanceTime(at(2) + DAY_MS);
    assert.deepEqual(shop.driver.servedKeys('alerts:'), []);
  });

  test('the eleventh order of a customer in a minute is told, once a minute', () => {
    const shop = new ShopDriver();
    for (const seconds of [0, 60])
      times(10, (n) => shop.order(at(seconds + n), { customer_id: 5 }));
    times(30, (n) => shop.order(at(70 + n), { customer_id: 100 + n }));
    assert.deepEqual(alertsOf(shop), []);
    const { id } = shop.order(at(80), { customer_id: 5 });
    times(15, (n) => shop.order(at(85 + n), { customer_id: 5 }));
    const [alert, ...others] = alertsOf(shop);
    assert.equal(others.length, 0);
    assert.equal(alert?.severity, 'HIGH');
    assert.deepEqual(alert.data, {
      customer_id: 5,
      orders: 11,
      threshold: 10,
      window_start: '2026-03-01T12:01:00.000Z',
      order_id: id,
    });
    times(11, (n) => shop.order(at(120 + n), { customer_id: 5 }));
    assert.equal(alertsOf(shop).length, 1);
  });

  test('orders of all customers have a threshold of their own', () => {
    const shop = new ShopDriver({ allOrders: 20 });
    times(20, (n) => shop.order(at(n), { customer_id: n }));
    assert.deepEqual(alertsOf(shop), []);
    const { id } = shop.order(at(30), { customer_id: 50 });
    times(20, (n) => shop.order(at(31), { customer_id: n }));
    const [alert, ...others] = alertsOf(shop);
    assert.equal(others.length, 0);
    assert.equal(alert?.type, 'bulk_orders_detected');
    assert.equal(alert.data['customer_id'], null);
    assert.deepEqual(shop.driver.servedKeys('alerts:'), [
      `alerts:bulk_orders_detected:${at(30) / 1000}-${id}-all`,
    ]);
  });

  test('an order may be one too many of its customer and of all', () => {
    const shop = new ShopDriver({ allOrders: 10 });
    times(11, (n) => shop.order(at(n)));
    assert.equal(alertsOf(shop).length, 2);
    assert.equal(shop.driver.servedKeys('alerts:bulk_orders_detected:').length, 2);
  });

  test('more than 50 units of a product in a minute are told once', () => {
    const shop = new ShopDriver();
    times(25, (n) => shop.item(at(n), { product_id: 9, quantity: 2 }));
    assert.deepEqual(alertsOf(shop), []);
    const { id } = shop.item(at(26), { product_id: 9, quantity: 3 });
    times(9, (n) => shop.item(at(27 + n), { product_id: 9, quantity: 3 }));
    const [alert, ...others] = alertsOf(shop);
    assert.equal(others.length, 0);
    assert.deepEqual(alert?.data, {
      product_id: 9,
      units: 53,
      threshold: 50,
      window_start: '2026-03-01T12:00:00.000Z',
      order_item_id: id,
    });
  });

  test('a state from which most of more than five new customers come is told once a minute', () => {
    const shop = new ShopDriver();
    times(5, (n) => shop.customer(at(n), { state: 'TX' }));
    assert.deepEqual(alertsOf(shop), [], 'five are no more than five');
    const { id } = shop.customer(at(6), { state: null });
    const [alert] = alertsOf(shop);
    assert.equal(alert?.severity, 'LOW');
    assert.deepEqual(alert.data, {
      state: 'TX',
      customers: 5,
      new_customers: 6,
      threshold_percent: 80,
      window_start: '2026-03-01T12:00:00.000Z',
      customer_id: id,
    });
    times(2, () => shop.customer(at(7), { state: 'NY' }));
    times(20, () => shop.customer(at(8), { state: 'TX' }));
    assert.deepEqual(alertsOf(shop), [], 'it fell below and prevails again');
  });

  test('80% of them is not more than 80%', () => {
    const shop = new ShopDriver();
    times(2, () => shop.customer(at(0), { state: 'NY' }));
    times(8, () => shop.customer(at(1), { state: 'TX' }));
    assert.deepEqual(alertsOf(shop), []);
    shop.customer(at(2), { state: 'TX' });
    assert.equal(alertsOf(shop).length, 1);
  });

  test('thresholds are those that are given', () => {
    const shop = new ShopDriver({ highValueAmount: '9.99', customerOrders: 1 });
    shop.order(at(1));
    shop.order(at(2));
    const told = alertsOf(shop).map(({ type }) => type);
    assert.deepEqual(told, ['high_value_order', 'high_value_order', 'bulk_orders_detected']);
  });
});

test('what comes after its minute has closed is counted once, and kept aside', () => {
  const shop = new ShopDriver();
  shop.order(at(70));
  const late = shop.order(at(59), { total_amount: '5000.00', customer_id: 8 });
  assert.equal(shop.driver.late, 1);
  assert.deepEqual(shop.driver.read('stream-processor.late'), [
    {
      key: `{"id":${late.id}}`,
      value: { table: 'orders', timestamp: '2026-03-01T12:00:59.000Z', row: late },
      timestampMs: at(59),
    },
  ]);
  assert.deepEqual(alertsOf(shop), []);
  assert.equal(shop.served('realtime:metrics:20260301_1200'), undefined);
  assert.equal(shop.served('realtime:customer:8:activity'), undefined);
});

test('a product that comes too late is in no count', () => {
  const shop = new ShopDriver();
  const made = shop.product(at(70));
  shop.driver.insert(products, { ...made, id: 99 }, { atMs: at(0) });
  assert.equal(shop.driver.read('stream-processor.late').length, 1);
  assert.equal(shop.served('realtime:categories:Toys'), 1);
});
