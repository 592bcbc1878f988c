import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Change, Row } from '../../../src/index.ts';
import type { RowTable } from '../row-tables.ts';
import { cdcProcessor } from './cdc-processor.ts';
import { MemoryTasks } from './memory-tasks.ts';

const AT_MS = 1_000_000;

function change(
  table: RowTable | 'outbox',
  op: Change['op'],
  { before = null, after = null }: { before?: Row | null; after?: Row | null },
): Change {
  const row = after ?? before;
  return {
    op,
    before,
    after,
    key: row && { id: row['id'] },
    source: { schema: 'public', table, ts_ms: AT_MS, txId: 1, lsn: 1, snapshot: 'false' },
    topic: `dbserver1.public.${table}`,
    partition: 0,
    offset: 0,
  };
}

async function after(...changes: Change[]): Promise<MemoryTasks> {
  const tasks = new MemoryTasks(cdcProcessor);
  await tasks.process(...changes);
  return tasks;
}

const order = (id: number, customer: number | null, amount: string): Row => ({
  id,
  customer_id: customer,
  total_amount: amount,
});
const product = (id: number, stock: number | null): Row => ({ id, stock_quantity: stock });
const item = (id: number, of: number | null, quantity: number): Row => ({
  id,
  product_id: of,
  quantity,
});

describe('counters', () => {
  test('records count by table and operation, copied ones under r alone', async () => {
    const { values } = await after(
      change('orders', 'r', { after: order(1, 1, '1.00') }),
      change('orders', 'c', { after: order(2, 1, '1.00') }),
      change('orders', 'd', { before: order(2, 1, '1.00') }),
      change('outbox', 'c', { after: { id: 'a' } }),
    );
    const counted = [...values].filter(([key]) => /^(cdc:stats|metrics:orders)/.test(key));
    assert.deepEqual(Object.fromEntries(counted), {
      'cdc:stats:orders:r': '1',
      'cdc:stats:orders:c': '1',
      'cdc:stats:orders:d': '1',
      'cdc:stats:outbox:c': '1',
      'cdc:stats:total': '4',
      'metrics:orders:created': '1',
      'metrics:orders:deleted': '1',
    });
  });

  test('the outbox counts in the statistics and nowhere else', async () => {
    const { values } = await after(change('outbox', 'c', { after: { id: 'a' } }));
    assert.deepEqual([...values.keys()], ['cdc:stats:outbox:c', 'cdc:stats:total']);
  });
});

describe('orders', () => {
  test('a row that is copied again changes no sum', async () => {
    const { values, sets } = await after(
      change('orders', 'c', { after: order(1, 9, '10.10') }),
      change('orders', 'r', { after: order(1, 9, '10.10') }),
      change('orders', 'c', { after: order(1, 9, '10.10') }),
    );
    assert.equal(values.get('metrics:revenue:total'), '10.1');
    assert.deepEqual(sets.get('customer:9:orders'), new Set(['1']));
  });

  test('an order that changes hands moves between the sets', async () => {
    const { sets } = await after(
      change('orders', 'c', { after: order(1, 9, '1.00') }),
      change('orders', 'u', { after: order(1, 8, '1.00') }),
    );
    assert.deepEqual([...sets], [['customer:8:orders', new Set(['1'])]]);
  });

  test('a delete takes back what the row last seen had put, whatever `before` holds', async () => {
    const { values, sets } = await after(
      change('orders', 'c', { after: order(1, 9, '5.00') }),
      change('orders', 'u', { after: order(1, 9, '7.50') }),
      change('orders', 'd', { before: { id: 1, customer_id: null, total_amount: null } }),
    );
    assert.equal(values.get('metrics:revenue:total'), '0');
    assert.equal(values.has('order:1'), false);
    assert.equal(sets.size, 0);
  });

  test('a delete of a row never seen subtracts nothing', async () => {
    const { values } = await after(change('orders', 'd', { before: order(1, 9, '5.00') }));
    assert.equal(values.has('metrics:revenue:total'), false);
    assert.equal(values.get('metrics:orders:deleted'), '1');
  });

  test('an amount that came as a binary float is refused', async () => {
    const wrong = { id: 1, customer_id: 1, total_amount: 9.99 };
    await assert.rejects(after(change('orders', 'c', { after: wrong })), /decimal string/);
  });

  test('a key lives an hour from the commit on', async () => {
    const { expiries } = await after(change('orders', 'c', { after: order(1, 9, '5.00') }));
    assert.equal(expiries.get('order:1'), AT_MS + 3_600_000);
  });
});

describe('products', () => {
  const ALERT = 'alert:low_stock:4';

  test('low stock is told while it lasts, with the stock of now', async () => {
    const tasks = await after(change('products', 'c', { after: product(4, 9) }));
    await tasks.process(change('products', 'u', { after: product(4, 3) }));
    assert.deepEqual(JSON.parse(tasks.values.get(ALERT) ?? ''), {
      product_id: 4,
      current_stock: 3,
      alert_time: '1970-01-01T00:16:40.000Z',
    });
    assert.equal(tasks.expiries.get(ALERT), AT_MS + 30 * 60_000);
    await tasks.process(change('products', 'u', { after: product(4, 10) }));
    assert.equal(tasks.values.has(ALERT), false);
  });

  test('the alert goes with its product', async () => {
    const low = product(4, 0);
    const deleted = change('products', 'd', { before: low });
    const truncated = change('products', 't', {});
    for (const end of [deleted, truncated]) {
      const { values } = await after(change('products', 'c', { after: low }), end);
      assert.equal(values.has(ALERT), false);
    }
  });

  test('an unknown stock is not low', async () => {
    const { values } = await after(change('products', 'c', { after: product(4, null) }));
    assert.equal(values.has(ALERT), false);
  });
});

test('a large column that an update left alone keeps the value last seen', async () => {
  const { values } = await after(
    change('customers', 'c', { after: { id: 1, city: 'Oslo', address: 'a long one' } }),
    change('customers', 'u', {
      after: { id: 1, city: 'Rome', address: '__debezium_unavailable_value' },
    }),
  );
  assert.equal(values.get('customer:1'), '{"id":1,"city":"Rome","address":"a long one"}');
});

test('units sold follow items, their quantities and their products', async () => {
  const { values } = await after(
    change('order_items', 'c', { after: item(1, 7, 2) }),
    change('order_items', 'c', { after: item(2, 7, 1) }),
    change('order_items', 'u', { after: item(1, 8, 3) }),
    change('order_items', 'u', { after: item(2, null, 1) }),
  );
  assert.equal(values.get('metrics:product:7:sold'), '0');
  assert.equal(values.get('metrics:product:8:sold'), '3');
});

describe('random histories', () => {
  const TABLES = ['customers', 'products', 'orders', 'order_items'] as const;
  const step = fc.record({
    table: fc.constantFrom(...TABLES),
    does: fc.constantFrom(
      'write',
      'write',
      'write',
      'write',
      'copy',
      'delete',
      'rekey',
      'truncate',
    ),
    id: fc.integer({ min: 1, max: 5 }),
    link: fc.option(fc.integer({ min: 1, max: 3 })),
    figure: fc.integer({ min: 0, max: 2000 }),
    silent: fc.boolean(),
  });
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

  test('leave what the final tables say', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const database = new Map<RowTable, Map<number, Row>>(TABLES.map((t) => [t, new Map()]));
        const tasks = await after(...steps.flatMap((each) => changesOf(each, database)));
        assert.deepEqual(servedBy(tasks), expectedOf(database));
      }),
      { numRuns: 300 },
    );
  });

  /** Carries a step out on the tables, and gives the changes that a connector would write. */
  function changesOf(
    { table, does, id, link, figure, silent }: Step,
    database: Map<RowTable, Map<number, Row>>,
  ): Change[] {
    const rows = database.get(table) ?? new Map<number, Row>();
    const old = rows.get(id) ?? null;
    // Without REPLICA IDENTITY FULL an update carries no old row.
    const before = silent ? null : old;
    if (does === 'truncate') {
      rows.clear();
      return [change(table, 't', {})];
    }
    if (does === 'write') {
      const row = rowOf(table, id, link, figure);
      rows.set(id, row);
      return [change(table, old === null ? 'c' : 'u', { before, after: row })];
    }
    if (old === null) return [];
    if (does === 'copy') return [change(table, 'r', { after: old })];
    rows.delete(id);
    const deleted = change(table, 'd', { before: silent ? { id } : old });
    if (does === 'delete') return [deleted];
    const moved = { ...old, id: id + 100 };
    const replaced = rows.get(id + 100);
    rows.set(id + 100, moved);
    return [
      deleted,
      ...(replaced === undefined ? [] : [change(table, 'd', { before: replaced })]),
      change(table, 'c', { after: moved }),
    ];
  }

  function rowOf(table: RowTable, id: number, link: number | null, figure: number): Row {
    if (table === 'orders') return order(id, link, (figure / 100).toFixed(2));
    if (table === 'products') return product(id, figure % 20);
    if (table === 'order_items') return item(id, link, figure % 9);
    return { id, city: `city ${figure}` };
  }

  function servedBy({ values, sets }: MemoryTasks): Record<string, string> {
    const rows = [...values].filter(([key, value]) => {
      const isSum = /^metrics:(revenue|product:)/.test(key);
      return isSum ? value !== '0' : /^(customer|product|order|alert):/.test(key);
    });
    return Object.fromEntries([
      ...rows.map(([key, value]) => [key, key.startsWith('alert') ? stockOf(value) : value]),
      ...[...sets].map(([key, members]) => [key, [...members].toSorted().join()]),
    ]);
  }

  function stockOf(alert: string): string {
    return String((JSON.parse(alert) as { current_stock: number }).current_stock);
  }

  function idOf({ id }: Row): string {
    return String(id);
  }

  /** The slow and obvious computation from the tables as they are in the end. */
  function expectedOf(database: Map<RowTable, Map<number, Row>>): Record<string, string> {
    const rows = (table: RowTable) => [...(database.get(table)?.values() ?? [])];
    const expected: Record<string, string> = {};
    for (const row of rows('customers')) expected[`customer:${idOf(row)}`] = JSON.stringify(row);
    for (const row of rows('products')) {
      expected[`product:${idOf(row)}`] = JSON.stringify(row);
      const stock = Number(row['stock_quantity']);
      if (stock < 10) expected[`alert:low_stock:${idOf(row)}`] = String(stock);
    }
    let hundredths = 0;
    for (const row of rows('orders')) {
      expected[`order:${idOf(row)}`] = JSON.stringify(row);
      hundredths += Math.round(Number(row['total_amount']) * 100);
    }
    if (hundredths > 0) expected['metrics:revenue:total'] = String(hundredths / 100);
    for (const link of [1, 2, 3]) {
      const orders = rows('orders').filter((row) => row['customer_id'] === link);
      const ids = orders.map((row) => String(row['id'])).toSorted();
      if (ids.length > 0) expected[`customer:${link}:orders`] = ids.join();
      const items = rows('order_items').filter((row) => row['product_id'] === link);
      const units = items.reduce((sum, row) => sum + Number(row['quantity']), 0);
      if (units > 0) expected[`metrics:product:${link}:sold`] = String(units);
    }
    return expected;
  }
});
