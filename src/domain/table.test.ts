import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineTable, type TableRef } from './table.ts';

type Order = Readonly<{ id: number; status: string }>;

/** As an operator takes a function of the table's rows. */
function read<K, Row>(_: TableRef<K, Row>, column: (row: Row) => unknown): typeof column {
  return column;
}

test('a table knows the types of its keys and rows', () => {
  const orders = defineTable<Pick<Order, 'id'>, Order>({
    topic: 'shop.public.orders',
    key: ['id'],
  });
  const unkeyed = defineTable<null, Order>({ topic: 'shop.public.orders', key: [] });
  read(orders, (row) => row.status.toUpperCase());
  // @ts-expect-error A misspelt column does not compile.
  read(orders, (row) => row.statsu);
  // @ts-expect-error No column of the key is called so.
  defineTable<Pick<Order, 'id'>, Order>({ topic: 'shop.public.orders', key: ['status'] });
  // @ts-expect-error What has no key names no column.
  defineTable<null, Order>({ topic: 'shop.public.orders', key: ['id'] });
  // @ts-expect-error Another table's rows are others.
  const wrong: TableRef<null, Readonly<{ total: string }>> = unkeyed;
  assert.equal(wrong, unkeyed);
  assert.deepEqual(orders, { topic: 'shop.public.orders', key: ['id'] });
});
