import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import Big from 'big.js';
import fc from 'fast-check';
import type { Customer, Order, OrderItem, Product } from '../tables.ts';
import type { Alert } from './alerts.ts';
import { DEFAULT_THRESHOLDS, ShopDriver, START_MS } from './shop-driver.ts';
import type { Thresholds } from './thresholds.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const LATENESS_MS = 10_000;

/** Low, so that short histories cross them. */
const THRESHOLDS: Thresholds = {
  ...DEFAULT_THRESHOLDS,
  customerOrders: 2,
  allOrders: 5,
  productUnits: 6,
  newCustomers: 3,
};

type Created = Readonly<{ atMs: number }> &
  (
    | Readonly<{ table: 'customers'; row: Pick<Customer, 'id' | 'state'> }>
    | Readonly<{ table: 'products'; row: Pick<Product, 'id' | 'category'> }>
    | Readonly<{ table: 'orders'; row: Pick<Order, 'id' | 'customer_id' | 'total_amount'> }>
    | Readonly<{ table: 'order_items'; row: Pick<OrderItem, 'id' | 'product_id' | 'quantity'> }>
  );

/** Rows that are created one after the other, each up to the lateness behind the latest. */
const TABLES = ['customers', 'products', 'orders', 'order_items'] as const;
const steps = fc.array(
  fc.record({
    table: fc.constantFrom('focus', 'focus', ...TABLES),
    passesMs: fc.constantFrom(0, 1, 700, 700, 5000, 21_000),
    behindMs: fc.constantFrom(0, 0, 0, 3000, 9000, LATENESS_MS),
    which: fc.integer({ min: 0, max: 5 }),
    many: fc.integer({ min: 1, max: 3 }),
    cents: fc.integer({ min: 0, max: 150_000 }),
  }),
  { minLength: 1, maxLength: 60 },
);
const histories = fc
  .record({ focus: fc.constantFrom(...TABLES), steps })
  .map(({ focus, steps: taken }) => {
    let nowMs = START_MS;
    return taken.map(({ table, passesMs, behindMs, which, many, cents }, at): Created => {
      nowMs += passesMs;
      const id = at + 1;
      const atMs = Math.max(START_MS, nowMs - behindMs);
      const number = which === 0 ? null : Math.min(which, 3);
      const name = which === 0 ? null : which === 1 ? 'S1' : 'S2';
      switch (table === 'focus' ? focus : table) {
        case 'customers':
          return { atMs, table: 'customers', row: { id, state: name } };
        case 'products':
          return { atMs, table: 'products', row: { id, category: name } };
        case 'orders': {
          const total_amount = (cents / 100).toFixed(2);
          return { atMs, table: 'orders', row: { id, customer_id: number, total_amount } };
        }
        case 'order_items':
          return { atMs, table: 'order_items', row: { id, product_id: number, quantity: many } };
      }
    });
  });

function play(history: readonly Created[], partitions: number): ShopDriver {
  const shop = new ShopDriver(THRESHOLDS, partitions);
  for (const { atMs, table, row } of history) {
    if (table === 'customers') shop.customer(atMs, row);
    if (table === 'products') shop.product(atMs, row);
    if (table === 'orders') shop.order(atMs, row);
    if (table === 'order_items') shop.item(atMs, row);
  }
  return shop;
}

const minuteOf = ({ atMs }: Created): number => Math.floor(atMs / MINUTE_MS) * MINUTE_MS;
const isoTime = (ms: number): string => new Date(ms).toISOString();

function isOf<T extends Created['table']>(table: T) {
  return (created: Created): created is Extract<Created, { table: T }> => created.table === table;
}

/** Every figure by the slow and obvious computation: over the whole history, for each minute. */
function expectedMinutes(history: readonly Created[]): unknown[] {
  const minutes = [...new Set(history.map(minuteOf))].toSorted((a, b) => a - b);
  return minutes.map((startMs) => {
    const inMinute = history.filter((created) => minuteOf(created) === startMs);
    const made = inMinute.filter(isOf('orders'));
    const cents = made.reduce(
      (sum, { row }) => sum + Math.round(Number(row.total_amount) * 100),
      0,
    );
    const revenue = new Big(cents).div(100);
    return {
      minute: isoTime(startMs),
      orders: made.length,
      revenue: revenue.toFixed(2),
      customers: inMinute.filter(isOf('customers')).length,
      avg_order_value: (made.length === 0 ? revenue : revenue.div(made.length)).toFixed(2),
    };
  });
}

/** Type, time and causing row of each alert: a row causes one when the minute up to it, and not before, is over. */
function expectedAlerts(history: readonly Created[]): string[] {
  const told: string[] = [];
  const tell = (type: string, atMs: number, record: string) =>
    told.push(`${type}:${Math.floor(atMs / 1000)}-${record}`);
  for (const [at, last] of history.entries()) {
    const before = history.slice(0, at).filter((created) => minuteOf(created) === minuteOf(last));
    const upTo = [...before, last];
    const { atMs } = last;
    if (last.table === 'orders') {
      const { id, customer_id: customer, total_amount: amount } = last.row;
      if (Number(amount) > 1000) tell('high_value_order', atMs, `${id}`);
      const isOwn = ({ row }: Extract<Created, { table: 'orders' }>) =>
        row.customer_id === customer;
      if (customer !== null && upTo.filter(isOf('orders')).filter(isOwn).length === 3)
        tell('bulk_orders_detected', atMs, `${id}`);
      if (upTo.filter(isOf('orders')).length === 6) tell('bulk_orders_detected', atMs, `${id}-all`);
    }
    if (last.table === 'order_items') {
      const unitsIn = (some: readonly Created[]) =>
        some
          .filter(isOf('order_items'))
          .filter(({ row }) => row.product_id === last.row.product_id)
          .reduce((sum, { row }) => sum + row.quantity, 0);
      if (last.row.product_id !== null && unitsIn(before) <= 6 && unitsIn(upTo) > 6)
        tell('rapid_stock_depletion', atMs, `${last.row.id}`);
    }
    if (last.table === 'customers') {
      for (const state of ['S1', 'S2']) {
        const prevailsIn = (some: readonly Created[]) => {
          const all = some.filter(isOf('customers'));
          return (
            all.length > 3 && all.filter(({ row }) => row.state === state).length > 0.8 * all.length
          );
        };
        const isFirst = before.every((_, n) => !prevailsIn(before.slice(0, n + 1)));
        if (isFirst && prevailsIn(upTo)) tell('geographic_anomaly', atMs, `${last.row.id}`);
      }
    }
  }
  return told.toSorted();
}

/** Served keys that hold a count of the day, or of the newest minute, of a name. */
function expectedCounts(history: readonly Created[]): Record<string, unknown> {
  const expected: Record<string, unknown> = {};
  const add = (key: string) => {
    expected[key] = Number(expected[key] ?? 0) + 1;
  };
  for (const { row } of history.filter(isOf('customers')))
    add(`realtime:geo:customers:${row.state ?? 'unknown'}`);
  for (const { row } of history.filter(isOf('products')))
    add(`realtime:categories:${row.category ?? 'unknown'}`);
  const made = history.filter(isOf('orders'));
  for (const id of new Set(made.map(({ row }) => row.customer_id))) {
    if (id === null) continue;
    const own = made.filter(({ row }) => row.customer_id === id);
    const lastMs = Math.max(...own.map(({ atMs }) => atMs));
    const last = own.findLast(({ atMs }) => atMs === lastMs);
    expected[`realtime:customer:${id}:activity`] = {
      last_order_time: isoTime(lastMs),
      last_order_amount: last?.row.total_amount,
      order_count_today: own.length,
    };
  }
  return expected;
}

function expectedVelocities(history: readonly Created[]): Record<string, unknown> {
  const items = history.filter(isOf('order_items'));
  const expected: Record<string, unknown> = {};
  for (const id of new Set(items.map(({ row }) => row.product_id))) {
    if (id === null) continue;
    const own = items.filter(({ row }) => row.product_id === id);
    const newestMs = Math.max(...own.map(minuteOf));
    const inNewest = own.filter((item) => minuteOf(item) === newestMs);
    expected[`realtime:product:${id}:velocity`] = {
      sales_per_minute: inNewest.reduce((sum, { row }) => sum + row.quantity, 0),
      window_start: isoTime(newestMs),
    };
  }
  return expected;
}

function servedIn({ driver }: ShopDriver, ...prefixes: string[]): Record<string, unknown> {
  const keys = prefixes.flatMap((prefix) => driver.servedKeys(prefix));
  return Object.fromEntries(keys.map((key) => [key, driver.served(key)]));
}

for (const partitions of [1, 3]) {
  describe(`any history within the lateness, in ${partitions} partitions`, () => {
    test('has the figures of each minute, once', () => {
      fc.assert(
        fc.property(histories, (history) => {
          const { driver } = play(history, partitions);
          driver.advanceTime(Math.max(...history.map(({ atMs }) => atMs)) + 2 * MINUTE_MS);
          const found = driver.read('realtime-metrics').map(({ value }) => value);
          assert.deepEqual(found, expectedMinutes(history));
          assert.equal(driver.late, 0);
        }),
        { numRuns: 60 },
      );
    });

    test('causes each alert once, at the record that crosses the threshold', () => {
      fc.assert(
        fc.property(histories, (history) => {
          const shop = play(history, partitions);
          const keys = shop.driver.servedKeys('alerts:');
          const expected = expectedAlerts(history);
          assert.deepEqual(
            keys.map((key) => key.slice('alerts:'.length)),
            expected,
          );
          const written = shop.driver.read('realtime-alerts').map(({ value }) => value as Alert);
          const served = keys.map((key) => shop.served(key));
          const inOrder = (some: readonly unknown[]) =>
            some.map((each) => JSON.stringify(each)).toSorted();
          assert.deepEqual(inOrder(written), inOrder(served));
        }),
        { numRuns: 60 },
      );
    });

    test('counts by day and by newest minute', () => {
      fc.assert(
        fc.property(histories, (history) => {
          const shop = play(history, partitions);
          const day = ['realtime:geo:', 'realtime:categories:', 'realtime:customer:'];
          assert.deepEqual(servedIn(shop, ...day), expectedCounts(history));
          const served = servedIn(shop, 'realtime:product:');
          const expected = expectedVelocities(history);
          for (const [key, velocity] of Object.entries(served))
            assert.deepEqual(velocity, expected[key]);
        }),
        { numRuns: 60 },
      );
    });
  });
}

test('the histories cross every threshold', () => {
  const told = fc.sample(histories, { numRuns: 100, seed: 1 }).flatMap(expectedAlerts);
  const types = new Set(told.map((each) => each.split(':')[0]));
  assert.equal(types.size, 4);
  assert.ok(told.some((each) => each.endsWith('-all')));
  assert.ok(START_MS % DAY_MS < DAY_MS - 60 * MINUTE_MS, 'and end before the day does');
});
