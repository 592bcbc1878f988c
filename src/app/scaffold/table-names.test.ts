import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { namesOf } from './table-names.ts';

/** The names of one table among others, each `schema.name`. */
function names(table: string, ...others: string[]) {
  const split = (text: string) => {
    const [schema = '', name = ''] = text.split('.');
    return { schema, name };
  };
  const { schema, name } = split(table);
  const { value, row, key } = namesOf([table, ...others].map(split))(schema, name);
  return [value, row, key];
}

describe('names of tables', () => {
  test('a table becomes a value, and types of one row and its key', () => {
    assert.deepEqual(names('public.orders'), ['orders', 'Order', 'OrderKey']);
    assert.deepEqual(names('public.order_items'), ['orderItems', 'OrderItem', 'OrderItemKey']);
    assert.deepEqual(names('public.OrderItems'), ['orderItems', 'OrderItem', 'OrderItemKey']);
    assert.deepEqual(names('public.outbox'), ['outbox', 'Outbox', 'OutboxKey']);
  });

  test('English plurals become singular, and words that only look so stay', () => {
    const singular = (table: string) => names(`public.${table}`)[1];
    const plural = ['categories', 'addresses', 'status', 'analysis', 'boxes', 'people', 'houses'];
    assert.deepEqual(plural.map(singular), [
      'Category',
      'Address',
      'Status',
      'Analysis',
      'Box',
      'Person',
      'House',
    ]);
  });

  test('where schemas share a name, that of public has it, and others say where they are from', () => {
    const both = ['archive.orders', 'public.orders'] as const;
    assert.deepEqual(names(both[1], both[0]), ['orders', 'Order', 'OrderKey']);
    assert.deepEqual(names(both[0], both[1]), ['archiveOrders', 'ArchiveOrder', 'ArchiveOrderKey']);
  });

  test('tables whose names or types would be the same are told apart', () => {
    assert.deepEqual(names('public.orders', 'public.order'), ['orders', 'Orders', 'OrdersKey']);
    assert.deepEqual(names('public.order_keys', 'public.order'), [
      'orderKeys',
      'OrderKeys',
      'OrderKeysKey',
    ]);
    const odd = ['public.a_b', 'public.a b', 'public.a-b', 'public.A_b'] as const;
    const all = odd.map((table) => names(table, ...odd.filter((each) => each !== table)));
    assert.equal(new Set(all.map(([value]) => value)).size, odd.length);
  });

  test('words of the language, and names that begin with a digit or with nothing, are avoided', () => {
    assert.deepEqual(names('public.delete'), ['publicDelete', 'PublicDelete', 'PublicDeleteKey']);
    assert.deepEqual(names('public.2024_sales'), [
      'table2024Sales',
      'Table2024Sale',
      'Table2024SaleKey',
    ]);
    assert.deepEqual(names('public.!'), ['table', 'Table', 'TableKey']);
    assert.deepEqual(names('public.größen'), ['größen', 'Größen', 'GrößenKey']);
    assert.deepEqual(names('public.readonly')[1], 'PublicReadonly');
  });
});
