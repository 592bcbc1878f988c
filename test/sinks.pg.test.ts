import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { MemoryEventLog } from '../src/adapters/memory/event-log.ts';
import { MemoryStore } from '../src/adapters/memory/store.ts';
import { query } from '../src/adapters/postgres/client.ts';
import { TableSink } from '../src/adapters/postgres/table-sink.ts';
import { composeProcessors, topicsOf } from '../src/app/compose.ts';
import { blocksOf } from '../src/domain/record-block.ts';
import { must } from '../src/lib/must.ts';
import { runTogether } from '../src/lib/run-together.ts';
import type { Sink } from '../src/ports/sink.ts';
import type { Store } from '../src/ports/store.ts';
import { definePipeline, postgresTable, topology, webhook } from '../src/index.ts';
import { temporaryPostgres, type TemporaryPostgres } from './postgres.ts';
import { seededRandom } from './random.ts';
import {
  append,
  eventually,
  type Given,
  INPUT,
  isTakenIn,
  newLog,
  parkedCount,
  start,
} from './stream.ts';

let server: TemporaryPostgres;
before(async () => {
  server = await temporaryPostgres();
});
after(() => server.stop());

const sql = (text: string) => query(server, text);

beforeEach(() =>
  sql(`
    DROP SCHEMA IF EXISTS millrace, analytics CASCADE;
    CREATE SCHEMA analytics;
    CREATE TABLE analytics.orders (id int PRIMARY KEY, amount int CHECK (amount < 1000), note text);
    CREATE TABLE analytics.written (times int NOT NULL);
    INSERT INTO analytics.written VALUES (0);
    CREATE FUNCTION analytics.count_row() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN UPDATE analytics.written SET times = times + 1; RETURN NULL; END';
    CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON analytics.orders
      FOR EACH ROW EXECUTE FUNCTION analytics.count_row()`),
);

const LIMITS = { maxRecords: 4, maxBytes: 1_000_000, cacheEntries: 4 };

const put = (id: number, amount: number, more: Record<string, unknown> = {}): Given => ({
  key: { id },
  value: JSON.stringify({ id, amount, ...more }),
});
const remove = (id: number): Given => ({ key: { id }, value: null });

function ordersSink(): TableSink {
  return new TableSink({
    connection: server,
    table: 'analytics.orders',
    key: ['id'],
    columns: undefined,
  });
}

describe('a sink into a table of PostgreSQL', () => {
  test('writes each row once, when the task dies between the sink`s commit and its own', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    const rows = Array.from({ length: 40 }, (_, id) => put(id, id === 7 ? 5000 : id));
    await append(log, rows);
    for (const call of [1, 2, 3, 4]) {
      const crash = { on: 'store', call, when: 'before' } as const;
      await untilDoneOrCrashed({ log, store }, crash);
    }
    await untilDoneOrCrashed({ log, store }, NONE);
    const found = await sql('SELECT id, amount FROM analytics.orders ORDER BY id');
    assert.deepEqual(
      found.map(({ id, amount }) => [id, amount]),
      rows.map((_, id) => [String(id), String(id)]).filter(([id]) => id !== '7'),
    );
    assert.deepEqual(await sql('SELECT times FROM analytics.written'), [{ times: '39' }]);
    assert.deepEqual(await sql('SELECT task, next FROM millrace.sink_offsets'), [
      { task: `orders/${INPUT}-0`, next: '40' },
    ]);
    assert.deepEqual(await sql('SELECT "offset" FROM millrace.sink_left_out'), [{ offset: '7' }]);
    assert.equal(await parkedCount(store), 1);
  });

  test('comes to what a history of writes and removals comes to, whatever crashes', async () => {
    for (let seed = 1; seed <= 8; seed += 1) {
      const random = seededRandom(seed);
      const below = (limit: number): number => Math.floor(random() * limit);
      await sql('TRUNCATE analytics.orders');
      await sql('DROP SCHEMA IF EXISTS millrace CASCADE');
      const history = Array.from({ length: 60 }, () => {
        const id = below(8);
        const kind = below(12);
        if (kind === 0) return put(id, 1, { unknown: true });
        if (kind < 4) return remove(id);
        return put(id, below(1000), kind < 7 ? { note: `n${below(9)}` } : {});
      });
      const log = await newLog();
      await append(log, history);
      let store = new MemoryStore();
      for (let crashes = below(8); crashes > 0; crashes -= 1) {
        if (below(5) === 0) store = new MemoryStore();
        const on = must(['store', 'sink', 'connection'][below(3)], 'three') as Crash['on'];
        const when = below(2) === 0 ? 'before' : 'after';
        await untilDoneOrCrashed({ log, store }, { on, call: 1 + below(6), when });
      }
      await untilDoneOrCrashed({ log, store }, NONE);
      const { rows, parked } = outcomeOf(history);
      const found = await sql('SELECT * FROM analytics.orders ORDER BY id');
      assert.deepEqual(found, rows, `seed ${seed}`);
      assert.equal(await parkedCount(store), parked, `seed ${seed}`);
    }
  });
});

test('a topology writes to a table and a webhook, as its pipeline names them', async () => {
  await sql('CREATE TABLE analytics.bids (auction text PRIMARY KEY, bids int, high int)');
  const received: { id: string | undefined; body: unknown }[] = [];
  const hook = createServer((request, response) => {
    void Array.fromAsync<Buffer>(request).then((chunks) => {
      const id = request.headers['idempotency-key']?.toString();
      received.push({ id, body: JSON.parse(Buffer.concat(chunks).toString()) });
      response.end();
    });
  });
  hook.listen(0, '127.0.0.1');
  await once(hook, 'listening');
  const auctions = topology('auctions', { version: '1' }, ({ topic }) => {
    const bids = topic<{ auction: string; price: number }>('bids');
    bids
      .groupBy((bid) => bid.auction)
      .aggregate(
        () => ({ auction: '', bids: 0, high: 0 }),
        (all, { auction, price }) => ({
          auction,
          bids: all.bids + 1,
          high: Math.max(all.high, price),
        }),
      )
      .sink(
        postgresTable({ url: '${env:WAREHOUSE_URL}', table: 'analytics.bids', key: ['auction'] }),
        { name: 'warehouse' },
      );
    bids
      .filter((bid) => bid.price > 100)
      .sink(webhook({ url: 'http://127.0.0.1:${env:HOOK_PORT}/' }), { name: 'alerts' });
  });
  const pipeline = definePipeline({ name: 'test', processors: [auctions] });
  const log = new MemoryEventLog();
  await log.createTopics(topicsOf(pipeline));
  const environment = {
    WAREHOUSE_URL: `postgres://postgres:${server.password}@${server.host}:${server.port}/source_db`,
    HOOK_PORT: String((hook.address() as AddressInfo).port),
  };
  const parts = composeProcessors(
    pipeline,
    { log, store: new MemoryStore() },
    { bufferRecords: 10, environment },
  );
  const stopping = new AbortController();
  const ended = runTogether(
    stopping.signal,
    parts.map((part) => (signal: AbortSignal) => part.run(signal)),
  );
  const producer = await log.openProducer('test');
  const bids = [50, 120, 80, 200].map((price, at) => ({ auction: `a${at % 2}`, price }));
  await producer.append(
    blocksOf(
      bids.map((bid) => ({
        topic: 'bids',
        partition: 0,
        record: {
          timestampMs: 1000,
          key: null,
          value: Buffer.from(JSON.stringify(bid)),
          headers: [],
        },
      })),
    ),
  );
  const rows = await eventually(async () => {
    const found = await sql('SELECT * FROM analytics.bids ORDER BY auction');
    const isAll = found.length === 2 && found.every(({ bids: count }) => count === '2');
    return isAll && received.length === 2 ? found : undefined;
  });
  stopping.abort();
  await ended;
  hook.close();
  hook.closeAllConnections();
  assert.deepEqual(rows, [
    { auction: 'a0', bids: '2', high: '80' },
    { auction: 'a1', bids: '2', high: '200' },
  ]);
  assert.deepEqual(
    received.map(({ body }) => body),
    [bids[1], bids[3]],
  );
  assert.equal(new Set(received.map(({ id }) => id)).size, 2);
});

/** Where a run is killed: at its nth commit or write, before or after that took effect. */
type Crash = Readonly<{
  on: 'store' | 'sink' | 'connection' | 'none';
  call: number;
  when: 'before' | 'after';
}>;
const NONE: Crash = { on: 'none', call: Infinity, when: 'before' };

async function untilDoneOrCrashed(
  { log, store }: Readonly<{ log: MemoryEventLog; store: Store }>,
  crash: Crash,
): Promise<void> {
  const processor = { name: 'orders', topic: INPUT, sink: crashingSink(ordersSink(), crash) };
  const used = crash.on === 'store' ? crashingStore(store, crash) : store;
  const running = start({ log, store: used, processor, limits: LIMITS });
  let hasCrashed = false;
  running.ended.catch(() => {
    hasCrashed = true;
  });
  await eventually(async () => hasCrashed || (await isTakenIn({ log, store }, 1)) || undefined);
  if (crash.on === 'none') return running.stop();
  await running.stop().catch(() => undefined);
}

function crashingSink(sink: Sink, { on, call, when }: Crash): Sink {
  let writes = 0;
  return {
    description: sink.description,
    keepsAccount: sink.keepsAccount,
    batchRecords: sink.batchRecords,
    async open(task, signal) {
      const writer = await sink.open(task, signal);
      return {
        get account() {
          return writer.account;
        },
        async write(batch, stop) {
          writes += 1;
          if (writes !== call || (on !== 'sink' && on !== 'connection'))
            return writer.write(batch, stop);
          if (on === 'connection') {
            // Anywhere in the transaction, or past it.
            const killed = sql(`
              SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE application_name = 'millrace' AND pid <> pg_backend_pid()`);
            const [written] = await Promise.all([writer.write(batch, stop), killed]);
            return written;
          }
          if (when === 'after') await writer.write(batch, stop);
          throw new Error('killed');
        },
        [Symbol.asyncDispose]: () => writer[Symbol.asyncDispose](),
      };
    },
  };
}

function crashingStore(store: Store, { call, when }: Crash): Store {
  let commits = 0;
  const commit: Store['commit'] = async (what) => {
    commits += 1;
    if (commits !== call) return store.commit(what);
    if (when === 'after') await store.commit(what);
    throw new Error('killed');
  };
  return new Proxy(store, {
    get: (of, name) => {
      if (name === 'commit') return commit;
      const found: unknown = Reflect.get(of, name, of);
      return typeof found === 'function' ? (found.bind(of) as unknown) : found;
    },
  });
}

/** The slow, obvious version. */
function outcomeOf(history: readonly Given[]): Readonly<{ rows: unknown[]; parked: number }> {
  const rows = new Map<number, Record<string, unknown>>();
  const stuck = new Set<number>();
  let parked = 0;
  for (const { key, value } of history) {
    const { id } = key as { id: number };
    const row = value === null ? null : (JSON.parse(String(value)) as Record<string, unknown>);
    if (row !== null && 'unknown' in row) stuck.add(id);
    if (stuck.has(id)) parked += 1;
    else if (row === null) rows.delete(id);
    else rows.set(id, { note: null, ...rows.get(id), ...row });
  }
  const ordered = [...rows].toSorted(([a], [b]) => a - b);
  return {
    rows: ordered.map(([id, { amount, note }]) => ({
      id: String(id),
      amount: String(amount),
      note,
    })),
    parked,
  };
}
