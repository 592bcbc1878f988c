import Big from 'big.js';
import type { Figure, SourceQuery, StoreReader } from '../../src/index.ts';
import { cursor, type TextRow } from './reconcile/cursor.ts';
import { keyedUnion, type Keyed } from './reconcile/keyed-union.ts';
import { pages } from './reconcile/pages.ts';
import { rowDifferences } from './reconcile/row-difference.ts';

const PAGE_KEYS = 500;

/**
 * Compares all that the CDC processor serves with the tables: sums and sets in both directions,
 * cached rows and alerts where they have not expired. Memory does not grow with the tables.
 */
export async function* reconcile(query: SourceQuery, store: StoreReader): AsyncIterable<Figure> {
  yield await revenue(query, store);
  yield* unitsSold(query, store);
  yield* ordersOfCustomers(query, store);
  yield* cachedRows(query, store, { prefix: 'customer:', table: 'customers' });
  yield* cachedRows(query, store, { prefix: 'product:', table: 'products' });
  yield* cachedRows(query, store, { prefix: 'order:', table: 'orders' });
  yield* cachedRows(query, store, {
    prefix: 'alert:low_stock:',
    table: 'products',
    differences: alertDifference,
  });
}

async function revenue(query: SourceQuery, store: StoreReader): Promise<Figure> {
  const name = 'metrics:revenue:total';
  const [row] = await query(`SELECT coalesce(sum(total_amount), 0) AS total FROM orders`);
  return { name, source: plain(row?.['total']), store: plain(await store.get(name)) };
}

async function* unitsSold(query: SourceQuery, store: StoreReader): AsyncIterable<Figure> {
  const source = keyedRows(
    query,
    'shop_units_sold',
    `SELECT 'metrics:product:' || product_id || ':sold' AS key, sum(quantity) AS value
       FROM order_items WHERE product_id IS NOT NULL
      GROUP BY product_id`,
  );
  const keys = matching(store.keys('metrics:product:'), /:sold$/);
  for await (const page of pages(keyedUnion(source, keys), PAGE_KEYS)) {
    const values = await Promise.all(page.map(({ key }) => store.get(key)));
    yield* page.map(({ key, value }, index) => ({
      name: key,
      source: plain(value),
      store: plain(values[index]),
    }));
  }
}

async function* ordersOfCustomers(query: SourceQuery, store: StoreReader): AsyncIterable<Figure> {
  const source = keyedRows(
    query,
    'shop_orders_of_customers',
    `SELECT 'customer:' || customer_id || ':orders' AS key, array_agg(id ORDER BY id) AS value
       FROM orders WHERE customer_id IS NOT NULL
      GROUP BY customer_id`,
  );
  const keys = matching(store.keys('customer:'), /:orders$/);
  for await (const page of pages(keyedUnion(source, keys), PAGE_KEYS)) {
    const sets = await Promise.all(page.map(({ key }) => store.members(key)));
    yield* page.map(({ key, value }, index) => ({
      name: key,
      source: value ?? '{}',
      store: `{${(sets[index] ?? []).toSorted((a, b) => Number(a) - Number(b)).join(',')}}`,
    }));
  }
}

/** Each difference by name, then how many there are and how many of them equal the source. */
async function* cachedRows(
  query: SourceQuery,
  store: StoreReader,
  {
    prefix,
    table,
    differences = rowDifferences,
  }: Readonly<{
    prefix: string;
    table: string;
    differences?: (key: string, row: TextRow, cached: string) => Figure[];
  }>,
): AsyncIterable<Figure> {
  let cached = 0;
  let equal = 0;
  const keys = matching(store.keys(prefix), new RegExp(`^${prefix}\\d+$`));
  for await (const page of pages(keys, PAGE_KEYS)) {
    const ids = page.map((key) => key.slice(prefix.length));
    const [values, rows] = await Promise.all([
      Promise.all(page.map((key) => store.get(key))),
      query(`SELECT * FROM ${table} WHERE id = ANY ($1::bigint[])`, [`{${ids.join(',')}}`]),
    ]);
    const rowOf = new Map(rows.map((row) => [row['id'], row]));
    for (const [index, key] of page.entries()) {
      const value = values[index];
      // It expired since it was listed.
      if (value === undefined) continue;
      const row = rowOf.get(key.slice(prefix.length));
      const found =
        row === undefined
          ? [{ name: key, source: 'no such row', store: value }]
          : differences(key, row, value);
      yield* found;
      cached += 1;
      if (found.length === 0) equal += 1;
    }
  }
  yield { name: `${prefix}* that equal the source`, source: String(cached), store: String(equal) };
}

function alertDifference(key: string, row: TextRow, alert: string): Figure[] {
  const { current_stock: told } = JSON.parse(alert) as { current_stock: number };
  const stock = row['stock_quantity'] ?? null;
  if (stock !== null && Number(stock) < 10 && Number(stock) === told) return [];
  return [{ name: key, source: `stock ${stock}`, store: `stock ${told}` }];
}

async function* keyedRows(query: SourceQuery, name: string, sql: string): AsyncIterable<Keyed> {
  const inOrder = `SELECT * FROM (${sql}) AS figures ORDER BY key COLLATE "C"`;
  for await (const row of cursor(query, name, inOrder))
    yield { key: row['key'] ?? '', value: row['value'] ?? undefined };
}

async function* matching(keys: AsyncIterable<string>, pattern: RegExp): AsyncIterable<string> {
  for await (const key of keys) if (pattern.test(key)) yield key;
}

/** A sum without zeros at its end; nothing is 0. */
function plain(sum: string | null | undefined): string {
  return new Big(sum ?? 0).toFixed();
}
