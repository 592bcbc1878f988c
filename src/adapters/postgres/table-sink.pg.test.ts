import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sinkContract, batch, put, remove } from '../../../test/contracts/sink.ts';
import { temporaryPostgres, type TemporaryPostgres } from '../../../test/postgres.ts';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import type { SinkRecord } from '../../ports/sink.ts';
import { PostgresClient, query } from './client.ts';
import { TableSink, type TableSinkOptions } from './table-sink.ts';

const TASK = 'shop.orders/shop.orders-0';
const { signal } = new AbortController();

let server: TemporaryPostgres;
before(async () => {
  server = await temporaryPostgres();
});
after(() => server.stop());

const sql = (text: string) => query(server, text);

/** A sink into a table made by `create`, in a database without anything else of ours. */
async function sinkInto(
  create: string,
  options: Partial<TableSinkOptions> = {},
): Promise<TableSink> {
  await sql('DROP SCHEMA IF EXISTS millrace, analytics CASCADE; CREATE SCHEMA analytics');
  await sql(create);
  return new TableSink({
    connection: server,
    table: 'analytics.orders',
    key: ['id'],
    columns: undefined,
    ...options,
  });
}

const ORDERS = `CREATE TABLE analytics.orders (
  id bigint PRIMARY KEY, amount numeric(12, 2) CHECK (amount >= 0), note text DEFAULT 'new')`;

const record = (offset: number, value: unknown, key: unknown = null): SinkRecord => ({
  ...put(offset, 0, 0),
  key,
  keyText: key === null ? null : JSON.stringify(key),
  value,
});

const isCoded = (code: string) => (error: unknown) =>
  error instanceof MillraceError && error.code === code && !error.message.includes('hunter2');

sinkContract('TableSink', { keepsAccount: true }, async () => {
  const own = await temporaryPostgres();
  await query(own, `CREATE SCHEMA analytics; ${ORDERS}`);
  const sink = new TableSink({
    connection: own,
    table: 'analytics.orders',
    key: ['id'],
    columns: undefined,
  });
  return {
    sink,
    secret: own.password,
    rows: async () => {
      const rows = await query(own, 'SELECT id, amount FROM analytics.orders ORDER BY id');
      return Object.fromEntries(
        rows.map(({ id, amount }) => [must(id, 'the key'), Number(amount)]),
      );
    },
    kill: async () => {
      // An immediate shutdown: killed alone, it would leave the connection's process at work for a while.
      process.kill(own.pid, 'SIGQUIT');
      await own.ended;
    },
    [Symbol.asyncDispose]: () => own.stop(),
  };
});

describe('TableSink', () => {
  test('writes values of every kind as the column reads them', async () => {
    const sink = await sinkInto(`CREATE TABLE analytics.orders (
      id bigint PRIMARY KEY, big numeric, day date, at timestamptz, tags text[], doc jsonb,
      is_paid boolean, "Odd ""name""" text)`);
    await using writer = await sink.open(TASK, signal);
    const value = {
      id: 1,
      big: '12345678901234567890.123456789',
      day: '2026-02-28',
      at: '2026-02-28T12:00:00Z',
      tags: ['a', 'b "c"'],
      doc: { deep: [1, null] },
      is_paid: true,
      'Odd "name"': "it's",
    };
    assert.deepEqual(await writer.write(batch(record(0, value)), signal), []);
    const [row] = await sql('SELECT * FROM analytics.orders');
    assert.deepEqual(row, {
      id: '1',
      big: '12345678901234567890.123456789',
      day: '2026-02-28',
      at: '2026-02-28 12:00:00+00',
      tags: '{a,"b \\"c\\""}',
      doc: '{"deep": [1, null]}',
      is_paid: 't',
      'Odd "name"': "it's",
    });
  });

  test('leaves the columns alone that a record does not name, but not past a removal', async () => {
    const sink = await sinkInto(ORDERS);
    await using writer = await sink.open(TASK, signal);
    const named = { ...put(0, 1, 0), value: { id: 1, amount: 1, note: 'mine' } };
    await writer.write(batch(named, put(1, 1, 2), put(2, 2, 5)), signal);
    const rows = () => sql('SELECT * FROM analytics.orders ORDER BY id');
    const two = { id: '2', amount: '5.00', note: 'new' };
    assert.deepEqual(await rows(), [{ id: '1', amount: '2.00', note: 'mine' }, two]);
    await writer.write(batch(remove(3, 1), put(4, 1, 3)), signal);
    assert.deepEqual(await rows(), [{ id: '1', amount: '3.00', note: 'new' }, two]);
  });

  test('maps fields to columns, and takes the key from the record where the value has none', async () => {
    const sink = await sinkInto(ORDERS, { columns: { amount: 'total' } });
    await using writer = await sink.open(TASK, signal);
    const given = [
      record(0, { total: 5, more: true }, { id: 7 }),
      record(1, { total: 6 }, 8),
      record(2, { total: 1 }, 9),
      record(3, null, 9),
    ];
    assert.deepEqual(await writer.write(batch(...given), signal), []);
    const rows = await sql('SELECT id, amount FROM analytics.orders ORDER BY id');
    assert.deepEqual(rows, [
      { id: '7', amount: '5.00' },
      { id: '8', amount: '6.00' },
    ]);
  });

  test('says of each record why it is no row of the table', async () => {
    const sink = await sinkInto(ORDERS);
    await using writer = await sink.open(TASK, signal);
    await writer.write({ ...batch(record(8, { id: 4, amount: 4 })), next: 0 }, signal);
    const given = [
      record(0, { id: 1, amont: 5 }),
      record(1, 'text'),
      record(2, { amount: 5 }),
      record(3, null, 'x'),
      record(4, null, { order: 1 }),
      record(5, { id: 'one' }),
      record(6, { id: 2, note: 'nul \u0000' }),
      record(7, { id: 3, amount: 1e30 }),
    ];
    const refusals = await writer.write(batch(...given), signal);
    const reasons = Object.fromEntries(refusals.map(({ offset, message }) => [offset, message]));
    assert.match(reasons[0] ?? '', /no column amont/);
    assert.match(reasons[1] ?? '', /expected an object, found "text"/);
    assert.match(reasons[2] ?? '', /no value for id/);
    assert.match(reasons[3] ?? '', /invalid input syntax for type bigint/);
    assert.match(reasons[4] ?? '', /needs id in the record's key/);
    assert.match(reasons[5] ?? '', /invalid input syntax for type bigint/);
    assert.match(reasons[6] ?? '', /Unicode escape/);
    assert.match(reasons[7] ?? '', /numeric field overflow/);
    assert.deepEqual(Object.keys(reasons).length, 8);
    const left = await sql('SELECT "offset", reason FROM millrace.sink_left_out ORDER BY 1');
    assert.deepEqual(
      left.map(({ offset, reason }) => [Number(offset), reason]),
      Object.entries(reasons).map(([offset, reason]) => [Number(offset), reason]),
    );
    assert.equal((await sql('SELECT FROM analytics.orders')).length, 1);
  });

  test('writes rows that free each other`s unique values in the order of the log', async () => {
    const sink = await sinkInto(
      'CREATE TABLE analytics.orders (id int PRIMARY KEY, code text UNIQUE)',
    );
    await using writer = await sink.open(TASK, signal);
    const code = (offset: number, id: number, text: string) => record(offset, { id, code: text });
    await writer.write(batch(code(0, 1, 'x')), signal);
    const swap = [code(1, 1, 'y'), code(2, 2, 'x'), code(3, 1, 'z'), code(4, 3, 'y')];
    assert.deepEqual(await writer.write(batch(...swap), signal), []);
    const rows = await sql('SELECT id, code FROM analytics.orders ORDER BY id');
    assert.deepEqual(
      rows.map((row) => row['code']),
      ['z', 'x', 'y'],
    );
  });

  test('refuses a row whose check the table puts off to the commit', async () => {
    const sink = await sinkInto(`
      CREATE TABLE analytics.customers (id int PRIMARY KEY);
      INSERT INTO analytics.customers VALUES (1);
      CREATE TABLE analytics.orders (id int PRIMARY KEY,
        customer int REFERENCES analytics.customers DEFERRABLE INITIALLY DEFERRED)`);
    await using writer = await sink.open(TASK, signal);
    const given = [record(0, { id: 1, customer: 1 }), record(1, { id: 2, customer: 2 })];
    const [refusal] = await writer.write(batch(...given), signal);
    assert.equal(refusal?.offset, 1);
    assert.equal(refusal?.name, 'SQLSTATE 23503');
    assert.equal((await sql('SELECT FROM analytics.orders')).length, 1);
  });

  test('goes on when columns come and go', async () => {
    const sink = await sinkInto(ORDERS);
    await using writer = await sink.open(TASK, signal);
    await writer.write(batch(put(0, 1, 1)), signal);
    await sql('ALTER TABLE analytics.orders ADD city text');
    const oslo = { ...put(1, 2, 2), value: { id: 2, amount: 2, city: 'Oslo' } };
    assert.deepEqual(await writer.write(batch(oslo), signal), []);
    await sql('ALTER TABLE analytics.orders DROP city');
    const [refusal] = await writer.write(batch({ ...oslo, offset: 2 }, put(3, 3, 3)), signal);
    assert.match(refusal?.message ?? '', /no column city/);
    assert.equal((await sql('SELECT FROM analytics.orders')).length, 3);
  });

  test('makes a missing table where it is told how, and says what is missing where not', async () => {
    const created = await sinkInto('', { create: ORDERS });
    await using writer = await created.open(TASK, signal);
    assert.deepEqual(await writer.write(batch(put(0, 1, 1)), signal), []);
    const none = await sinkInto('');
    await assert.rejects(none.open(TASK, signal), isCoded('sink_not_ready'));
    const keyless = await sinkInto('CREATE TABLE analytics.orders (id int, amount int)');
    await assert.rejects(keyless.open(TASK, signal), /CREATE UNIQUE INDEX ON "analytics"."orders"/);
  });

  test('several that begin at once in an empty database make what they need once', async () => {
    const create = `CREATE SCHEMA IF NOT EXISTS analytics; ${ORDERS}`;
    const sink = await sinkInto('', { create });
    for (let round = 0; round < 5; round += 1) {
      await sql('DROP SCHEMA IF EXISTS millrace, analytics CASCADE');
      const tasks = Array.from({ length: 8 }, (_, at) => `shop.orders/shop.orders-${at}`);
      const writers = await Promise.all(tasks.map((task) => sink.open(task, signal)));
      await Promise.all(writers.map((writer) => writer[Symbol.asyncDispose]()));
    }
  });

  test('tells a wrong password by name, without it', async () => {
    const connection = { ...server, password: 'hunter2' };
    const sink = await sinkInto(ORDERS, { connection });
    await assert.rejects(sink.open(TASK, signal), isCoded('sink_login_failed'));
  });

  test('stops waiting for a lock when it is told to stop', async () => {
    const sink = await sinkInto(ORDERS);
    await using writer = await sink.open(TASK, signal);
    await using other = await lockOrders();
    const stopping = new AbortController();
    const written = writer.write(batch(put(0, 1, 1)), stopping.signal);
    await other.waitedFor();
    stopping.abort();
    await assert.rejects(written);
  });
});

async function lockOrders(): Promise<AsyncDisposable & { waitedFor(): Promise<void> }> {
  const client = await PostgresClient.connect(server);
  await client.query('BEGIN');
  await client.query('LOCK TABLE analytics.orders');
  const isWaitedFor = `SELECT FROM pg_locks WHERE NOT granted AND relation = 'analytics.orders'::regclass`;
  return {
    waitedFor: async () => {
      while ((await sql(isWaitedFor)).length === 0);
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
