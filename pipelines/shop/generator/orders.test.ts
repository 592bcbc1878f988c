import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { faker } from '@faker-js/faker/locale/en';
import { anomaliesOf, type Anomalies } from './anomalies.ts';
import { planCustomers } from './customers.ts';
import { type KnownProduct, type NewOrder, planOrders } from './orders.ts';
import { planProducts } from './products.ts';
import { Random } from './random.ts';

const NONE: Anomalies = anomaliesOf(0, 10_000);
/** The sample rows. */
const SAMPLES = [999.99, 12.99, 299.99, 39.99, 4.99];

/** A shop's life without a database, ids counted here. */
function live(seed: number, batches: number, visit: (orders: NewOrder[], batch: number) => void) {
  const random = new Random(seed);
  faker.seed(seed);
  const customers = [1, 2, 3];
  const products: KnownProduct[] = SAMPLES.map((price, index) => ({ id: index + 1, price }));
  for (let batch = 0; batch < batches; batch += 1) {
    for (let left = planCustomers(25, random).length; left > 0; left -= 1)
      customers.push(customers.length + 1);
    for (const { price } of planProducts(25, random))
      products.push({ id: products.length + 1, price: Number(price) });
    const anomalies = anomaliesOf(batch, 10_000);
    visit(planOrders({ count: 50, customers, products, anomalies, random }), batch);
  }
  return products;
}

function lived(seed: number, batches: number) {
  const all: NewOrder[][] = [];
  const products = live(seed, batches, (orders) => all.push(orders));
  const price = new Map(products.map((product) => [product.id, product.price]));
  const totalOf = ({ items }: NewOrder) =>
    items.reduce((sum, item) => sum + item.quantity * (price.get(item.product_id) ?? 0), 0);
  return { batches: all, orders: all.flat(), totalOf };
}

test('orders exceed 1000 where they are meant to, and only there', () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const { batches, totalOf } = lived(seed, 100);
    const dear = batches.map((orders) => orders.filter((order) => totalOf(order) > 1000).length);
    const meant = batches.map((_, at) => Number(anomaliesOf(at, 10_000).highValueOrder));
    assert.deepEqual(dear, meant);
  }
});

test('an order has one to five items of distinct products, one to three of each', () => {
  const { orders } = lived(7, 40);
  for (const { items } of orders) {
    assert.ok(items.length >= 1 && items.length <= 5);
    assert.equal(new Set(items.map((item) => item.product_id)).size, items.length);
    assert.ok(items.every(({ quantity }) => quantity >= 1 && quantity <= 3));
  }
  for (const count of [1, 2, 3, 4, 5])
    assert.ok(
      orders.some(({ items }) => items.length === count),
      `${count} items`,
    );
});

test('a seed gives the same orders again, another one others', () => {
  assert.deepEqual(lived(3, 12).orders, lived(3, 12).orders);
  assert.notDeepEqual(lived(3, 2).orders, lived(4, 2).orders);
});

describe('in a minute of batches', () => {
  const most = (counts: Map<number, number>) => Math.max(...counts.values());
  function figuresOf(batches: readonly NewOrder[][]) {
    const ordersOf = new Map<number, number>();
    const unitsOf = new Map<number, number>();
    for (const { customer_id, items } of batches.flat()) {
      ordersOf.set(customer_id, (ordersOf.get(customer_id) ?? 0) + 1);
      for (const { product_id, quantity } of items)
        unitsOf.set(product_id, (unitsOf.get(product_id) ?? 0) + quantity);
    }
    return { orders: most(ordersOf), units: most(unitsOf) };
  }

  test('no customer and no product stands out by chance', () => {
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const { batches } = lived(seed, 40);
      for (const from of [0, 1, 12, 20, 34]) {
        const usual = batches.slice(from, from + 6).filter((_, at) => {
          const { bulkOrders, stockDepletion } = anomaliesOf(from + at, 10_000);
          return !bulkOrders && !stockDepletion;
        });
        const { orders, units } = figuresOf(usual);
        assert.ok(orders <= 10, `seed ${seed}, batch ${from}: ${orders} orders of a customer`);
        assert.ok(units <= 50, `seed ${seed}, batch ${from}: ${units} units of a product`);
      }
    }
  });

  test('each anomaly comes within the first two minutes', () => {
    const { batches, totalOf } = lived(1, 12);
    const bulk = batches.findIndex((_, at) => anomaliesOf(at, 10_000).bulkOrders);
    const depletion = batches.findIndex((_, at) => anomaliesOf(at, 10_000).stockDepletion);
    assert.ok(figuresOf(batches.slice(bulk, bulk + 1)).orders > 20);
    assert.ok(figuresOf(batches.slice(depletion, depletion + 1)).units > 100);
    assert.ok(batches.flat().some((order) => totalOf(order) > 1000));
    const oneState = batches.filter((_, at) => anomaliesOf(at, 10_000).oneState);
    assert.equal(oneState.length, 6, 'whichever batch is the first of a minute is among them');
  });

  test('a burst fills up a batch that is too small for it', () => {
    const random = new Random(1);
    const products = [{ id: 1, price: 5 }];
    const bulk = { ...NONE, bulkOrders: true };
    const orders = planOrders({ count: 5, customers: [1, 2], products, anomalies: bulk, random });
    assert.equal(new Set(orders.map((order) => order.customer_id)).size, 1);
    assert.equal(orders.length, 22);
  });
});

test('anomalies stay rare', () => {
  const day = Array.from({ length: 8640 }, (_, batch) => anomaliesOf(batch, 10_000));
  assert.equal(day.filter((each) => each.highValueOrder).length, 96);
  assert.equal(day.filter((each) => each.bulkOrders).length, 24);
  assert.equal(day.filter((each) => each.stockDepletion).length, 24);
  assert.equal(day.filter((each) => each.oneState).length, 12 * 6);
  assert.deepEqual(NONE, {
    oneState: false,
    highValueOrder: false,
    bulkOrders: false,
    stockDepletion: false,
  });
});

test('new customers of a spell come from one state, others from many', () => {
  const random = new Random(1);
  const statesOf = (only?: string) => new Set(planCustomers(60, random, only).map((c) => c.state));
  assert.deepEqual(statesOf('TX'), new Set(['TX']));
  assert.ok(statesOf().size > 20);
});

test('texts fit their columns', () => {
  const random = new Random(1);
  for (const customer of planCustomers(500, random)) {
    assert.ok(customer.phone.length <= 20 && /^[a-z.]+$/.test(customer.mailbox));
    assert.match(customer.zip_code, /^\d{5}$/);
    assert.match(customer.state, /^[A-Z]{2}$/);
  }
});
