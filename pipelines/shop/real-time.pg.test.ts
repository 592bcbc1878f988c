import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { query } from '../../src/adapters/postgres/client.ts';
import { CommandLine, eventually, jsonLines } from '../../test/command-line.ts';
import { temporaryPostgres, type TemporaryPostgres } from '../../test/postgres.ts';
import type { Alert } from './streams/alerts.ts';

type Call = Readonly<{ id: string; alert: Alert }>;

describe('the shop in real time, from its database to all who are told', () => {
  const ending = new AsyncDisposableStack();
  const calls: Call[] = [];
  let server: TemporaryPostgres;
  let millrace: CommandLine;

  before(async () => {
    server = ending.use(await temporaryPostgres());
    await query(server, 'CREATE DATABASE warehouse');
    millrace = ending.use(
      await CommandLine.make({
        env: {
          POSTGRES_HOST: server.host,
          POSTGRES_PORT: String(server.port),
          POSTGRES_DB: server.database,
          POSTGRES_USER: server.user,
          POSTGRES_PASSWORD: server.password,
          // The demonstration does not provoke it.
          SHOP_BULK_ALL_ORDERS: '100',
          SHOP_ALERT_WEBHOOK_URL: await webhook(),
          WAREHOUSE_URL: addressOf('warehouse'),
        },
      }),
    );
    await millrace.up('--demo', '--no-generator');
    await millrace.succeed(
      'generate',
      '--demo',
      '--seed',
      '1',
      '--rate',
      '2000',
      '--batches',
      '12',
    );
  });
  after(() => ending.disposeAsync());

  async function webhook(): Promise<string> {
    const receiver = createServer((request, response) => {
      void Array.fromAsync<Buffer>(request).then((body) => {
        const alert = JSON.parse(Buffer.concat(body).toString()) as Alert;
        calls.push({ id: String(request.headers['idempotency-key']), alert });
        response.writeHead(204).end();
      });
    });
    receiver.listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    ending.defer(() => void receiver.close());
    return `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/alerts`;
  }

  function addressOf(database: string): string {
    const { host, port, user, password } = server;
    return `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
  }

  async function numbersIn(sql: string): Promise<number[]> {
    const rows = await query(server, sql);
    return rows.map((row) => Number(Object.values(row)[0]));
  }

  async function alerts(): Promise<Alert[]> {
    const out = await millrace.succeed('consume', 'realtime-alerts', '--json');
    return jsonLines(out).map(({ value }) => value as Alert);
  }

  async function served(pattern: string): Promise<Map<string, unknown>> {
    const out = await millrace.succeed('store', 'scan', pattern, '--json');
    return new Map(jsonLines(out).map(({ key, value }) => [key as string, parsed(value)]));
  }

  function parsed(value: unknown): unknown {
    return typeof value === 'string' ? (JSON.parse(value) as unknown) : value;
  }

  async function figuresOfMinutes() {
    const found = await served('realtime:metrics:2*');
    const minutes = [...found.values()] as Readonly<Record<string, string | number>>[];
    const sum = (name: string) =>
      minutes.reduce((total, minute) => total + Number(minute[name]), 0);
    return {
      orders: sum('orders_per_minute'),
      customers: sum('customers_per_minute'),
      revenue: sum('revenue_per_minute').toFixed(2),
    };
  }

  test('the figures of its minutes come to what is in its tables', async () => {
    const [orders] = await numbersIn('SELECT count(*) FROM orders');
    // The sample rows were there before.
    const [customers] = await numbersIn('SELECT last_value - 3 FROM customers_id_seq');
    const [revenue] = await numbersIn('SELECT sum(total_amount) FROM orders');
    const expected = { orders, customers, revenue: revenue?.toFixed(2) };
    await eventually(
      'all counted',
      async () => (await figuresOfMinutes()).orders === expected.orders,
    );
    await eventually(
      'the same',
      async () => JSON.stringify(await figuresOfMinutes()) === JSON.stringify(expected),
    );
  });

  test('every key of the reference is served', async () => {
    const { size: minutes } = await served('realtime:metrics:????????_????');
    assert.ok(minutes >= 1);
    assert.equal((await served('realtime:metrics:latest')).size, 1);
    const { size: products } = await served('realtime:product:*:velocity');
    const [sold] = await numbersIn('SELECT count(DISTINCT product_id) FROM order_items');
    assert.equal(products, sold);
    const states = await served('realtime:geo:customers:*');
    assert.ok(states.size > 10);
    assert.equal((await served('realtime:categories:*')).size, 6);
    const activities = await served('realtime:customer:*:activity');
    const [buyers] = await numbersIn('SELECT count(DISTINCT customer_id) FROM orders');
    assert.equal(activities.size, buyers);
  });

  test('every kind of alert is told, each alert once, and under its key', async () => {
    const told = await alerts();
    assert.deepEqual([...new Set(told.map(({ type }) => type))].toSorted(), [
      'bulk_orders_detected',
      'geographic_anomaly',
      'high_value_order',
      'rapid_stock_depletion',
    ]);
    assert.ok(
      told.some(({ data }) => data['customer_id'] === null),
      'orders of all customers',
    );
    assert.equal(new Set(told.map((alert) => JSON.stringify(alert))).size, told.length);
    const dear = told.filter(({ type }) => type === 'high_value_order');
    assert.deepEqual(
      dear.map(({ data }) => data['order_id']),
      await numbersIn('SELECT id FROM orders WHERE total_amount > 1000 ORDER BY id'),
    );
    const kept = await served('alerts:*');
    const texts = (some: Iterable<unknown>) =>
      Array.from(some, (alert) => JSON.stringify(alert)).toSorted();
    assert.deepEqual(texts(kept.values()), texts(told));
  });

  test('a webhook is called for each alert', async () => {
    const told = await alerts();
    await eventually('called', async () => calls.length >= told.length);
    assert.equal(new Set(calls.map(({ id }) => id)).size, told.length);
    assert.deepEqual(
      calls.map(({ alert }) => alert),
      told,
    );
  });

  test('the warehouse has the orders as they are', async () => {
    const rows = (database: string, table: string) =>
      query(
        { ...server, database },
        `SELECT id, customer_id, order_date, total_amount, status FROM ${table} ORDER BY id`,
      );
    const expected = JSON.stringify(await rows(server.database, 'orders'));
    const isThere = async () =>
      (await query({ ...server, database: 'warehouse' }, `SELECT to_regclass('analytics.orders')`))
        .length > 0 && JSON.stringify(await rows('warehouse', 'analytics.orders')) === expected;
    await eventually('the same', isThere);
  });

  test('events of the outbox are on the topic of their aggregate', async () => {
    const lines = jsonLines(await millrace.succeed('consume', 'outbox.event.order', '--json'));
    const [events] = await numbersIn('SELECT count(*) FROM outbox');
    assert.equal(lines.length, events);
    const [first] = lines;
    assert.deepEqual(Object.keys(first?.['value'] as object).toSorted(), [
      'customer_id',
      'order_id',
      'total_amount',
    ]);
    assert.partialDeepStrictEqual(first?.['headers'], { eventType: 'OrderCreated' });
  });
});
