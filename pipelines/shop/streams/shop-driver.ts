import { TopologyTestDriver } from '../../../src/testing.ts';
import {
  type Customer,
  customers,
  type Order,
  type OrderItem,
  orderItems,
  orders,
  type Product,
  products,
} from '../tables.ts';
import { streamProcessor } from './stream-processor.ts';
import { readThresholds, type Thresholds } from './thresholds.ts';

/** 2026-03-01T12:00:00Z, the turn of a minute. */
export const START_MS = Date.UTC(2026, 2, 1, 12);

/** As nothing in the environment says otherwise. */
export const DEFAULT_THRESHOLDS: Thresholds = readThresholds({
  text: () => undefined,
  number: (_, fallback) => fallback,
  integer: (_, fallback) => fallback,
  decimal: (_, fallback) => fallback,
  oneOf: (_name, _values, fallback) => fallback,
  refuse: () => undefined,
});

/** Creates rows of the shop and has the stream processor work on them: for tests. */
export class ShopDriver {
  readonly driver: TopologyTestDriver;
  #lastId = 0;

  constructor(thresholds: Partial<Thresholds> = {}, partitions = 1) {
    const topology = streamProcessor({ ...DEFAULT_THRESHOLDS, ...thresholds });
    this.driver = new TopologyTestDriver(topology, { partitions });
  }

  customer(atMs: number, row: Partial<Customer> = {}): Customer {
    const id = this.#id();
    const made: Customer = {
      id,
      first_name: 'Ada',
      last_name: 'Lovelace',
      email: `${id}@example.com`,
      phone: null,
      address: null,
      city: null,
      state: 'NY',
      zip_code: null,
      created_at: null,
      updated_at: null,
      ...row,
    };
    this.driver.insert(customers, made, { atMs });
    return made;
  }

  product(atMs: number, row: Partial<Product> = {}): Product {
    const made: Product = {
      id: this.#id(),
      name: 'Mug',
      description: null,
      price: '12.99',
      category: 'Toys',
      stock_quantity: 100,
      created_at: null,
      updated_at: null,
      ...row,
    };
    this.driver.insert(products, made, { atMs });
    return made;
  }

  order(atMs: number, row: Partial<Order> = {}): Order {
    const made: Order = {
      id: this.#id(),
      customer_id: 1,
      order_date: null,
      total_amount: '10.00',
      status: 'pending',
      shipping_address: null,
      created_at: null,
      updated_at: null,
      ...row,
    };
    this.driver.insert(orders, made, { atMs });
    return made;
  }

  item(atMs: number, row: Partial<OrderItem> = {}): OrderItem {
    const made: OrderItem = {
      id: this.#id(),
      order_id: 1,
      product_id: 1,
      quantity: 1,
      unit_price: '10.00',
      created_at: null,
      ...row,
    };
    this.driver.insert(orderItems, made, { atMs });
    return made;
  }

  served(key: string): unknown {
    return this.driver.served(key);
  }

  #id(): number {
    this.#lastId += 1;
    return this.#lastId;
  }
}
