import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, describe, test } from 'node:test';
import { PostgresClient } from '../../src/adapters/postgres/client.ts';
import type { Change, Row, StoreReader } from '../../src/index.ts';
import { temporaryPostgres } from '../../test/postgres.ts';
import { generate } from './generator.ts';
import { reconcile } from './reconcile.ts';
import { cdcProcessor } from './streams/cdc-processor.ts';
import { MemoryTasks } from './streams/memory-tasks.ts';
import { ROW_TABLES } from './row-tables.ts';

describe('reconciliation of the shop', () => {
  let client: PostgresClient;
  let tasks: MemoryTasks;
  const ending = new AsyncDisposableStack();

  before(async () => {
    const server = ending.use(await temporaryPostgres());
    client = ending.use(await PostgresClient.connect(server));
    await client.query(await readFile(new URL('schema.sql', import.meta.url), 'utf8'));
    await generate(
      { query: client.query, transaction: (work) => client.transaction(work) },
      { seed: 5, recordsPerBatch: 100, intervalMs: 0, rate: 1e6, batches: 14, onBatch: () => {} },
      new AbortController().signal,
    );
  });
  after(() => ending.disposeAsync());

  beforeEach(async () => {
    tasks = new MemoryTasks(cdcProcessor);
    for (const table of ROW_TABLES) await tasks.process(...(await copyOf(table)));
  });

  /** As the connector would copy the table. */
  async function copyOf(table: string): Promise<Change[]> {
    const rows = await client.query(
      `SELECT (SELECT jsonb_object_agg(name, CASE
                 WHEN name ~ '_(at|date)$' THEN to_jsonb(rtrim(value #>> '{}') || 'Z')
                 WHEN name ~ '(price|amount)$' THEN to_jsonb(value #>> '{}')
                 ELSE value END) FROM jsonb_each(to_jsonb(t)) AS column_of (name, value)) AS row
         FROM ${table} AS t ORDER BY id`,
    );
    return rows.map(({ row }) => {
      const after = JSON.parse(row ?? '') as Row;
      return {
        op: 'r',
        before: null,
        after,
        key: { id: after['id'] },
        topic: `dbserver1.public.${table}`,
        partition: 0,
        offset: 0,
        source: { schema: 'public', table, ts_ms: 0, txId: null, lsn: null, snapshot: 'true' },
      };
    });
  }

  function storeOf({ values, sets }: MemoryTasks): StoreReader {
    return {
      get: async (key) => values.get(key),
      members: async (key) => [...(sets.get(key) ?? [])],
      async *keys(prefix) {
        const all = [...values.keys(), ...sets.keys()];
        yield* all.filter((key) => key.startsWith(prefix)).toSorted();
      },
    };
  }

  async function figures() {
    return client.transaction((query) => Array.fromAsync(reconcile(query, storeOf(tasks))));
  }

  async function differences() {
    return (await figures()).filter(({ source, store }) => source !== store);
  }

  test('every figure of a true store equals the source', async () => {
    const all = await figures();
    assert.deepEqual(
      all.filter(({ source, store }) => source !== store),
      [],
    );
    const named = (pattern: RegExp) => all.filter(({ name }) => pattern.test(name));
    assert.ok(named(/^metrics:product:\d+:sold$/).length > 100);
    assert.ok(named(/^customer:\d+:orders$/).length > 100);
    assert.ok(named(/ equal the source$/).every(({ source }) => Number(source) > 0));
    assert.notEqual(named(/^metrics:revenue:total$/)[0]?.source, '0');
  });

  test('row caches and alerts that have expired are no difference', async () => {
    for (const key of tasks.keys(''))
      if (/^(customer|product|order|alert):/.test(key)) tasks.values.delete(key);
    assert.deepEqual(await differences(), []);
  });

  test('a wrong sum, set or row is named with both values', async () => {
    const sold = Number(tasks.values.get('metrics:product:2:sold'));
    tasks.values.set('metrics:product:2:sold', String(sold + 1));
    tasks.values.set('metrics:product:999999:sold', '4');
    tasks.sets.set('customer:999999:orders', new Set(['10', '9']));
    tasks.values.set('customer:999998', '{"id":999998}');
    const order = JSON.parse(tasks.values.get('order:1') ?? '') as Row & { status: string };
    tasks.values.set('order:1', JSON.stringify({ ...order, status: 'lost' }));
    const orders = Number((await client.query(`SELECT count(*) FROM orders`))[0]?.['count']);
    const customers = Number((await client.query(`SELECT count(*) FROM customers`))[0]?.['count']);
    assert.deepEqual(await differences(), [
      { name: 'metrics:product:2:sold', source: String(sold), store: String(sold + 1) },
      { name: 'metrics:product:999999:sold', source: '0', store: '4' },
      { name: 'customer:999999:orders', source: '{}', store: '{9,10}' },
      { name: 'customer:999998', source: 'no such row', store: '{"id":999998}' },
      {
        name: 'customer:* that equal the source',
        source: String(customers + 1),
        store: String(customers),
      },
      { name: 'order:1 status', source: order.status, store: 'lost' },
      { name: 'order:* that equal the source', source: String(orders), store: String(orders - 1) },
    ]);
  });

  test('a lost sum or set, and an alert without its cause, are named', async () => {
    tasks.values.delete('metrics:product:2:sold');
    tasks.values.delete('metrics:revenue:total');
    const [set = ''] = tasks.sets.keys();
    tasks.sets.delete(set);
    tasks.values.set('alert:low_stock:5', '{"product_id":5,"current_stock":3}');
    const names = (await differences()).map(({ name }) => name);
    const expected = ['metrics:revenue:total', 'metrics:product:2:sold', set, 'alert:low_stock:5'];
    assert.deepEqual(names, [...expected, 'alert:low_stock:* that equal the source']);
  });
});
