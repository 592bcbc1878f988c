import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { PostgresClient } from '../../src/adapters/postgres/client.ts';
import type { GeneratorDatabase, GeneratorOptions } from '../../src/index.ts';
import { temporaryPostgres } from '../../test/postgres.ts';
import { generate } from './generator.ts';

const NEVER = new AbortController().signal;
const OPTIONS: GeneratorOptions = {
  seed: 42,
  recordsPerBatch: 100,
  intervalMs: 10_000,
  rate: 1e6,
  batches: 3,
  onBatch: () => {},
};

describe('the shop on a server', () => {
  let client: PostgresClient;
  let schema: string;
  const ending = new AsyncDisposableStack();
  const database: GeneratorDatabase = {
    query: (sql, parameters) => client.query(sql, parameters),
    transaction: (work) => client.transaction(work),
  };
  const one = async (sql: string): Promise<Record<string, string | null>> => {
    const [row] = await client.query(sql);
    return { ...row };
  };

  before(async () => {
    const server = ending.use(await temporaryPostgres());
    client = ending.use(await PostgresClient.connect(server));
    schema = await readFile(new URL('schema.sql', import.meta.url), 'utf8');
  });
  after(() => ending.disposeAsync());

  /** Everything but times. */
  async function contents(): Promise<unknown> {
    const tables = ['customers', 'products', 'orders', 'order_items', 'outbox'];
    const rows = await Promise.all(
      tables.map((table) =>
        client.query(
          `SELECT (to_jsonb(t) - '{created_at,updated_at,order_date}'::text[])::text AS row
             FROM ${table} AS t ORDER BY id`,
        ),
      ),
    );
    return rows.map((each) => each.map(({ row }) => row));
  }

  test('the schema applied twice is the schema, with its sample rows once', async () => {
    await client.query(schema);
    const first = await contents();
    await client.query(schema);
    assert.deepEqual(await contents(), first);
    const counts = await one(`SELECT (SELECT count(*) FROM customers) AS customers,
      (SELECT count(*) FROM products) AS products,
      (SELECT count(*) FROM pg_class WHERE relreplident = 'f') AS full_identity`);
    assert.deepEqual(counts, { customers: '3', products: '5', full_identity: '4' });
  });

  test('sample rows that were deleted stay deleted', async () => {
    await client.query(`DELETE FROM customers`);
    await client.query(schema);
    assert.equal((await one(`SELECT count(*) FROM customers`))['count'], '0');
    await client.query(`DROP SCHEMA public CASCADE; CREATE SCHEMA public`);
    await client.query(schema);
  });

  test('a batch has its quarters and halves, and orders the sum of their items', async () => {
    let rows = 0;
    await generate(database, { ...OPTIONS, batches: 1, onBatch: (n) => (rows += n) }, NEVER);
    const counts = await one(`SELECT (SELECT count(*) FROM customers) AS customers,
      (SELECT count(*) FROM products) AS products, (SELECT count(*) FROM orders) AS orders,
      (SELECT count(*) FROM outbox) AS outbox,
      (SELECT count(*) FROM orders WHERE total_amount <> (SELECT sum(quantity * unit_price)
         FROM order_items WHERE order_id = orders.id)) AS wrong_totals,
      (SELECT count(*) FROM order_items JOIN products ON products.id = product_id
        WHERE unit_price <> price) AS wrong_prices,
      (SELECT count(DISTINCT xmin::text) FROM orders WHERE status = 'pending') > 1 AS apart`);
    assert.deepEqual(counts, {
      customers: '28',
      products: '30',
      orders: '50',
      outbox: '50',
      wrong_totals: '0',
      wrong_prices: '0',
      apart: 't',
    });
    assert.ok(rows > 200);
  });

  test('a second run adds to the first, and a seed gives the same rows on a fresh database', async () => {
    const fresh = async (): Promise<unknown> => {
      await client.query(`DROP SCHEMA public CASCADE; CREATE SCHEMA public`);
      await client.query(schema);
      await generate(database, OPTIONS, NEVER);
      await generate(database, OPTIONS, NEVER);
      return contents();
    };
    const first = await fresh();
    assert.deepEqual(await fresh(), first);
    const statuses = await client.query(`SELECT DISTINCT status FROM orders ORDER BY status`);
    assert.ok(statuses.length >= 4, 'orders move on');
    assert.equal((await one(`SELECT count(*) FROM orders`))['count'], '300');
  });

  test('an order whose customer has gone is left out', async () => {
    const { ShopDatabase } = await import('./generator/shop-database.ts');
    const items = [{ product_id: 1, quantity: 1 }];
    const order = { shipping_address: 'x', items };
    const [customer] = await client.query(`SELECT max(id) AS id FROM customers`);
    const known = Number(customer?.['id']);
    const placed = await new ShopDatabase(database).placeOrders([
      { ...order, customer_id: 2 ** 30 },
      { ...order, customer_id: known, items: [{ product_id: 2 ** 30, quantity: 1 }] },
      { ...order, customer_id: known },
    ]);
    assert.equal(placed.length, 1);
  });

  test('each of its transactions says once who made it', async () => {
    await client.query('CREATE PUBLICATION audited FOR ALL TABLES');
    await client.query(`SELECT pg_create_logical_replication_slot('audited', 'pgoutput')`);
    await generate(database, OPTIONS, NEVER);
    // Types of the messages, in order: I, U and D change a row, M says something.
    const transactions = await client.query(`
      SELECT string_agg(chr(get_byte(data, 0)), '') AS kinds,
             string_agg(CASE get_byte(data, 0) WHEN ascii('M') THEN encode(data, 'escape') END, '') AS said
        FROM pg_logical_slot_get_binary_changes('audited', NULL, NULL,
               'proto_version', '1', 'publication_names', 'audited', 'messages', 'true')
       GROUP BY xid`);
    const changing = transactions.filter(({ kinds }) => /[IUD]/.test(kinds ?? ''));
    assert.ok(changing.length > 20);
    assert.ok(changing.some(({ kinds }) => kinds?.includes('U')));
    for (const { kinds, said } of changing) {
      assert.equal(kinds?.match(/M/g)?.length, 1, kinds ?? '');
      assert.match(said ?? '', /audit.*\{"actor":"generator"\}$/);
    }
    await client.query(`SELECT pg_drop_replication_slot('audited')`);
  });

  test('it ends when told', async () => {
    const stop = new AbortController();
    const { batches: _, rate: __, ...endless } = OPTIONS;
    await generate(database, { ...endless, onBatch: () => stop.abort() }, stop.signal);
  });
});
