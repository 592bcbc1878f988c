import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { faker } from '@faker-js/faker/locale/en';
import type { Alert, AlertType } from '../streams/alerts.ts';
import { ShopDriver, START_MS } from '../streams/shop-driver.ts';
import { type Anomalies, anomaliesOf } from './anomalies.ts';
import { planCustomers } from './customers.ts';
import { type KnownProduct, planOrders } from './orders.ts';
import { planProducts } from './products.ts';
import { Random } from './random.ts';

const INTERVAL_MS = 10_000;
const NONE: Anomalies = anomaliesOf(0, INTERVAL_MS);

type Told = Readonly<{ type: AlertType; batch: number }>;

/** The alerts that the stream processor raises over so many batches; the first is `phaseMs` into its minute. */
function alertsIn(
  seed: number,
  batches: number,
  phaseMs: number,
  anomaliesIn: (batch: number) => Anomalies,
): Told[] {
  const shop = new ShopDriver();
  const random = new Random(seed);
  faker.seed(seed);
  // The sample rows, which were there before.
  const customers = [-1, -2, -3];
  const products: KnownProduct[] = [999.99, 12.99, 299.99, 39.99, 4.99].map((price, at) => ({
    id: -at - 1,
    price,
  }));
  const told: Told[] = [];
  for (let batch = 0; batch < batches; batch += 1) {
    const atMs = START_MS + phaseMs + batch * INTERVAL_MS;
    const anomalies = anomaliesIn(batch);
    for (const { state } of planCustomers(25, random, anomalies.oneState ? 'TX' : undefined))
      customers.push(shop.customer(atMs, { state }).id);
    for (const { price, category } of planProducts(25, random)) {
      const { id } = shop.product(atMs, { price, category });
      products.push({ id, price: Number(price) });
    }
    const priceOf = new Map(products.map(({ id, price }) => [id, price]));
    const orders = planOrders({ count: 50, customers, products, anomalies, random });
    for (const [at, { customer_id, items }] of orders.entries()) {
      // They come one after the other, so a burst may fall on two sides of a minute's turn.
      const placedMs = atMs + 10 * at;
      const total = items.reduce(
        (sum, { product_id, quantity }) => sum + quantity * (priceOf.get(product_id) ?? 0),
        0,
      );
      shop.order(placedMs, { customer_id, total_amount: total.toFixed(2) });
      for (const item of items) shop.item(placedMs, item);
    }
    for (const { value } of shop.driver.read('realtime-alerts'))
      told.push({ type: (value as Alert).type, batch });
  }
  return told;
}

describe('a demonstration', () => {
  for (const phaseMs of [0, 9_700, 25_000, 38_000, 49_800, 59_900]) {
    test(`raises each alert in its first two minutes, begun ${phaseMs} ms into a minute`, () => {
      for (const seed of [1, 2]) {
        const told = alertsIn(seed, 12, phaseMs, (batch) => anomaliesOf(batch, INTERVAL_MS));
        const types = told.map(({ type }) => type);
        const count = (type: AlertType) => types.filter((each) => each === type).length;
        assert.equal(count('high_value_order'), 1);
        // A burst on both sides of a minute's turn is one in each of the minutes.
        for (const type of ['bulk_orders_detected', 'rapid_stock_depletion'] as const)
          assert.ok(count(type) >= 1 && count(type) <= 2, `${type}: ${count(type)}`);
        assert.ok(count('geographic_anomaly') >= 1 && count('geographic_anomaly') <= 2);
      }
    });
  }

  test('raises none of its own accord', () => {
    for (const seed of [1, 2, 3, 4])
      assert.deepEqual(
        alertsIn(seed, 18, 5000 * seed, () => NONE),
        [],
      );
  });

  test('raises none between one provocation and the next', () => {
    const told = alertsIn(9, 30, 0, (batch) => anomaliesOf(batch, INTERVAL_MS));
    assert.ok(told.every(({ batch }) => batch <= 9));
  });
});
