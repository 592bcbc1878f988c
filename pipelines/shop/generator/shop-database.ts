import type { GeneratorDatabase } from '../../../src/index.ts';
import type { NewCustomer } from './customers.ts';
import type { KnownProduct, NewOrder } from './orders.ts';
import type { NewProduct } from './products.ts';

/**
 * Says who makes the changes of the statement that it stands before, in the same transaction. What is joined
 * with it is run with it; it is MATERIALIZED, so it is said once, however many rows there are.
 */
const SAID = `WITH said AS MATERIALIZED (
  SELECT pg_logical_emit_message(true, 'audit', '{"actor":"generator"}'))`;

/** The statements of the generator; each is a transaction of its own. Ids are the database's. */
export class ShopDatabase {
  readonly #query: GeneratorDatabase['query'];

  constructor({ query }: GeneratorDatabase) {
    this.#query = query;
  }

  /** The newest, oldest first. */
  async customers(limit: number): Promise<number[]> {
    return this.#ids(
      `SELECT id FROM (SELECT id FROM customers ORDER BY id DESC LIMIT $1) AS newest ORDER BY id`,
      [limit],
    );
  }

  async products(limit: number): Promise<KnownProduct[]> {
    const rows = await this.#query(
      `SELECT id, price FROM (SELECT id, price FROM products ORDER BY id DESC LIMIT $1) AS newest
        ORDER BY id`,
      [limit],
    );
    return rows.map((row) => ({ id: Number(row['id']), price: Number(row['price']) }));
  }

  /** Those not yet delivered or cancelled among the newest `limit`. */
  async openOrders(limit: number): Promise<number[]> {
    return this.#ids(
      `SELECT id FROM (SELECT id, status FROM orders ORDER BY id DESC LIMIT $1) AS newest
        WHERE status IN ('pending', 'processing', 'shipped') ORDER BY id`,
      [limit],
    );
  }

  /** The id in the address makes it unique, in this run and among all. */
  async addCustomers(customers: readonly NewCustomer[]): Promise<number[]> {
    if (customers.length === 0) return [];
    return this.#ids(
      `${SAID}
       INSERT INTO customers
         (id, first_name, last_name, email, phone, address, city, state, zip_code)
       SELECT id, first_name, last_name, mailbox || '.' || id || '@example.com',
              phone, address, city, state, zip_code
         FROM (SELECT nextval(pg_get_serial_sequence('customers', 'id')) AS id, planned.*
                 FROM jsonb_to_recordset($1::jsonb) AS planned
                      (first_name text, last_name text, mailbox text, phone text,
                       address text, city text, state text, zip_code text)) AS numbered, said
       RETURNING id`,
      [JSON.stringify(customers)],
    );
  }

  async addProducts(products: readonly NewProduct[]): Promise<KnownProduct[]> {
    if (products.length === 0) return [];
    const rows = await this.#query(
      `${SAID}
       INSERT INTO products (name, description, price, category, stock_quantity)
       SELECT name, description, price, category, stock_quantity
         FROM jsonb_to_recordset($1::jsonb) AS planned
              (name text, description text, price decimal, category text, stock_quantity integer), said
       RETURNING id, price`,
      [JSON.stringify(products)],
    );
    return rows.map((row) => ({ id: Number(row['id']), price: Number(row['price']) }));
  }

  /**
   * Orders with their items and outbox events. Prices are those of the products at this instant;
   * an order whose customer or products are gone is left out.
   */
  async placeOrders(orders: readonly NewOrder[]): Promise<number[]> {
    return this.#ids(PLACE_ORDERS, [JSON.stringify(orders)]);
  }

  async setPhone(customer: number, phone: string): Promise<void> {
    await this.#query(
      `${SAID}
       UPDATE customers SET phone = $2, updated_at = now() FROM said WHERE id = $1`,
      [customer, phone],
    );
  }

  async setStock(product: number, stock: number): Promise<void> {
    await this.#query(
      `${SAID}
       UPDATE products SET stock_quantity = $2, updated_at = now() FROM said WHERE id = $1`,
      [product, stock],
    );
  }

  /** Moves each order to its next status; returns those that are not open any more. */
  async progressOrders(orders: readonly number[]): Promise<number[]> {
    if (orders.length === 0) return [];
    return this.#ids(
      `${SAID}, progressed AS (
         UPDATE orders
            SET status = CASE status WHEN 'pending' THEN 'processing'
                                     WHEN 'processing' THEN 'shipped'
                                     ELSE 'delivered' END,
                updated_at = now()
           FROM said
          WHERE id = ANY ($1::integer[]) AND status IN ('pending', 'processing', 'shipped')
          RETURNING id, status)
       SELECT planned AS id FROM unnest($1::integer[]) AS planned
        WHERE NOT EXISTS (SELECT FROM progressed WHERE id = planned AND status <> 'delivered')
        ORDER BY id`,
      [arrayOf(orders)],
    );
  }

  /** Whether it could still be cancelled. */
  async cancelOrder(order: number): Promise<boolean> {
    const cancelled = await this.#query(
      `${SAID}
       UPDATE orders SET status = 'cancelled', updated_at = now()
         FROM said
        WHERE id = $1 AND status IN ('pending', 'processing') RETURNING id`,
      [order],
    );
    return cancelled.length > 0;
  }

  /** Deletes the first of these customers that has no orders; returns its id. */
  async deleteCustomerWithoutOrders(candidates: readonly number[]): Promise<number | undefined> {
    const [deleted] = await this.#ids(
      `${SAID}
       DELETE FROM customers USING said
        WHERE id = (SELECT id FROM customers
                     WHERE id = ANY ($1::integer[])
                       AND NOT EXISTS (SELECT FROM orders WHERE customer_id = customers.id)
                     ORDER BY id LIMIT 1)
       RETURNING id`,
      [arrayOf(candidates)],
    );
    return deleted;
  }

  async #ids(sql: string, parameters: readonly unknown[]): Promise<number[]> {
    const rows = await this.#query(sql, parameters);
    return rows.map((row) => Number(row['id']));
  }
}

// Rows are looked up by scalar subqueries, which stay index scans: the planner takes a list of JSON for
// a hundred rows, and would hash the whole of the other table instead.
const PLACE_ORDERS = `
${SAID}, planned AS MATERIALIZED (
  SELECT nextval(pg_get_serial_sequence('orders', 'id')) AS order_id, listed.*,
         (SELECT id FROM customers WHERE id = customer_id) AS buyer
    FROM jsonb_to_recordset($1::jsonb) AS listed
         (customer_id integer, shipping_address text, items jsonb)
), priced AS MATERIALIZED (
  SELECT order_id, product_id, quantity,
         (SELECT price FROM products WHERE id = product_id) AS price
    FROM planned, jsonb_to_recordset(items) AS item (product_id integer, quantity integer)
), summed AS (
  SELECT order_id, buyer, shipping_address,
         (SELECT sum(quantity * price) FROM priced WHERE priced.order_id = planned.order_id) AS total
    FROM planned
), placed AS (
  INSERT INTO orders (id, customer_id, total_amount, shipping_address)
  SELECT order_id, buyer, total, shipping_address
    FROM summed, said WHERE buyer IS NOT NULL AND total IS NOT NULL
  RETURNING id, customer_id, total_amount
), ordered AS (
  INSERT INTO order_items (order_id, product_id, quantity, unit_price)
  SELECT order_id, product_id, quantity, price
    FROM placed JOIN priced ON order_id = id AND price IS NOT NULL ORDER BY order_id, product_id
), announced AS (
  INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload)
  SELECT md5('OrderCreated ' || id)::uuid, 'order', id, 'OrderCreated',
         jsonb_build_object('order_id', id, 'customer_id', customer_id,
                            'total_amount', total_amount::text)
    FROM placed
)
SELECT id FROM placed`;

function arrayOf(ids: readonly number[]): string {
  return `{${ids.join(',')}}`;
}
