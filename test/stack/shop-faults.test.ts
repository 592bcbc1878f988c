import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { StatusReport } from '../../src/app/operations/operations.ts';
import { must } from '../../src/lib/must.ts';
import { verifyAnalytics } from '../crash/analytics.ts';
import { SHOP_TABLES } from '../crash/tables.ts';
import { rowsOf, verifyHistory } from '../crash/verification.ts';
import { eventually } from '../command-line.ts';
import { Relay } from '../relay.ts';
import { freePort } from './servers/free-port.ts';
import { temporaryKafka, type TemporaryKafka } from './servers/kafka.ts';
import { temporaryRedis, type TemporaryRedis } from './servers/redis.ts';
import type { ServerControls } from './servers/server-process.ts';
import { changesIn } from './shop/counted-changes.ts';
import { assertSameKeys } from './shop/differences.ts';
import type { ShopLoad } from './shop/shop-load.ts';
import { ShopMillrace } from './shop/shop-millrace.ts';
import { ShopSource } from './shop/shop-source.ts';
import { startAll } from './shop/start-all.ts';

const PARTITIONS = 20;
/** Between batches of the generator. */
const LOAD = { seed: 4, intervalMs: 2000 };

/**
 * Every fault comes while the shop is changed, and after each the store is found equal to the source.
 * Capture and the first worker reach the servers through relays, the other workers directly.
 */
describe('The shop in several processes', () => {
  const stack = new AsyncDisposableStack();
  after(() => stack.disposeAsync());
  let source: ShopSource;
  let kafka: TemporaryKafka;
  let redis: TemporaryRedis;
  const relays = {} as Record<'kafka' | 'redis' | 'postgres', Relay>;
  let embedded: ShopMillrace;
  let shop: ShopMillrace;
  let capture: ServerControls;
  const workers: ServerControls[] = [];
  let load: ShopLoad;

  before(async () => {
    const port = await freePort();
    relays.kafka = await relayTo(port);
    [source, kafka, redis] = await startAll(stack, [
      ShopSource.start(),
      temporaryKafka({
        port,
        advertisedPort: relays.kafka.port,
        listeners: { DIRECT: 'PLAINTEXT' },
      }),
      temporaryRedis({ appendonly: 'yes' }),
    ]);
    relays.redis = await relayTo(redis.port);
    relays.postgres = await relayTo(source.server.port);
    // Nothing here reads its lake, and the machine is busy.
    embedded = await make('embedded', { MILLRACE_LAKE_FLUSH_SECONDS: '60' });
    shop = await make('shop', {
      KAFKA_BROKER: kafka.brokersAt('DIRECT').join(),
      REDIS_HOST: redis.host,
      REDIS_PORT: String(redis.port),
    });
    [capture] = await Promise.all([
      shop.capture(1, relayed('kafka', 'postgres')),
      embedded.up(),
      startWorker(relayed('kafka', 'redis')),
    ]);
    await startWorker();
    await shop.untilStreaming();
    load = stack.use(source.load(LOAD));
    await shop.until('shared by two', isSharedBy(2));
  });

  const make = async (name: string, env: Record<string, string>): Promise<ShopMillrace> =>
    stack.use(await ShopMillrace.make({ name, source, partitions: 'four', env }));

  const relayTo = async (port: number): Promise<Relay> => {
    const relay = stack.use(new Relay({ host: '127.0.0.1', port }));
    await relay.open();
    return relay;
  };

  const relayed = (...servers: readonly (keyof typeof relays)[]): Record<string, string> => {
    const { postgres, redis: store } = relays;
    const all = {
      kafka: { KAFKA_BROKER: kafka.brokers.join() },
      redis: { REDIS_PORT: String(store.port) },
      postgres: { POSTGRES_PORT: String(postgres.port) },
    };
    return Object.assign({}, ...servers.map((server) => all[server])) as Record<string, string>;
  };

  const startWorker = async (env: Record<string, string> = {}): Promise<ServerControls> => {
    const worker = await shop.stream(workers.length + 1, env);
    workers.push(worker);
    return worker;
  };
  const worker = (number: number): ServerControls => must(workers[number - 1], 'it was started');

  const problemOf = (part: 'connector' | 'processor', code: string) => (status: StatusReport) =>
    (part === 'connector' ? [status.connector] : status.processors).some(
      (each) => each?.problem?.includes(code) === true,
    );

  test('shares its partitions with a worker that is added', async () => {
    await startWorker();
    await shop.until('shared by three', isSharedBy(3));
    await shop.reconcile();
  });

  test('fills a Redis that lost everything from the log', async () => {
    await redis.kill();
    await rm(join(redis.folder, 'appendonlydir'), { recursive: true });
    await redis.restart();
    await shop.reconcile();
  });

  test('moves the partitions of a worker that is killed to the others, and to its successor', async () => {
    await worker(2).kill();
    await shop.until('shared by two', isSharedBy(2));
    await worker(2).restart();
    await shop.until('shared by three', isSharedBy(3));
    await shop.reconcile();
  });

  test('takes nothing from a worker that was stopped until its partitions had moved', async () => {
    {
      using _stopped = stopped(worker(3));
      await shop.until('shared by two', isSharedBy(2));
      await shop.reconcile();
    }
    await shop.until('shared by three', isSharedBy(3));
    await shop.reconcile();
  });

  test('captures on after a kill of capture', async () => {
    await capture.kill();
    await wait(500);
    await capture.restart();
    await shop.untilStreaming();
    await shop.reconcile();
  });

  test('takes nothing from a capture that was stopped while another took over', async () => {
    const first = capture;
    const before = (await shop.status()).connector?.worker;
    {
      using _stopped = stopped(first);
      capture = await shop.capture(2, relayed('kafka', 'postgres'));
      // The server waits a minute for a reader that says nothing.
      await source.query(
        'select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1',
        [shop.slot],
      );
      await shop.until(
        'taken over',
        ({ connector }) => connector?.state === 'streaming' && connector.worker !== before,
      );
    }
    // Fenced where it was appending; else it waits for the slot, should the other one end.
    await eventually('told why', async () =>
      /producer_fenced|slot_in_use/.test(await first.logged()),
    );
    await shop.reconcile();
    await first.kill();
    assert.ok(!capture.hasEndedByItself());
  });

  test('goes on without a worker that is cut off from Kafka, and takes it back', async () => {
    {
      await using _cut = await cut(relays.kafka);
      await shop.until('shared by two', isSharedBy(2));
      assert.match(await worker(1).logged(), /log_unreachable/);
    }
    await shop.until('shared by three', isSharedBy(3));
    await shop.reconcile();
  });

  test('names a worker without its store, which goes on when that is back', async () => {
    {
      await using _cut = await cut(relays.redis);
      await shop.until('its problem told', problemOf('processor', 'store_unreachable'));
    }
    await shop.until('shared by three', isSharedBy(3));
    await shop.reconcile();
  });

  test('waits for PostgreSQL, and says so', async () => {
    {
      await using _cut = await cut(relays.postgres);
      await shop.until('told that it waits', problemOf('connector', 'source_unreachable'));
    }
    await shop.untilStreaming();
    await shop.reconcile();
  });

  test('goes on after a kill of the broker', async () => {
    await kafka.kill();
    await wait(2000);
    await kafka.restart();
    await shop.reconcile();
  });

  test('goes on after the broker answered nothing for a while', async () => {
    {
      using _stopped = stopped(kafka);
      await wait(12_000);
    }
    await shop.reconcile();
  });

  test('loses nothing while its workers are stopped in order and started again, one by one', async () => {
    for (const each of workers) {
      await each.stop();
      await shop.until('shared by two', isSharedBy(2));
      await each.restart();
      await shop.until('shared by three', isSharedBy(3));
    }
    await shop.reconcile();
  });

  test('goes on after a kill of Redis', async () => {
    await redis.kill();
    await wait(1000);
    await redis.restart();
    await shop.reconcile();
  });

  test('goes on after Redis answered nothing for a while', async () => {
    {
      using _stopped = stopped(redis);
      await wait(5000);
    }
    await shop.reconcile();
  });

  test('repeats what a Redis that lost its last seconds has lost', async () => {
    const [files, kept] = ['appendonlydir', 'kept'].map((name) => join(redis.folder, name));
    await cp(must(files, 'named'), must(kept, 'named'), { recursive: true });
    await wait(2000);
    await redis.kill();
    await rm(must(files, 'named'), { recursive: true });
    await cp(must(kept, 'named'), must(files, 'named'), { recursive: true });
    await redis.restart();
    await shop.reconcile();
  });

  describe('after all of that', () => {
    before(async () => {
      await load.stop();
      await shop.settle();
      await embedded.settle();
    });

    test('has every change in the log once, in order', async () => {
      await using log = await shop.openLog();
      for (const table of SHOP_TABLES) await verifyHistory(log, table, await rowsOf(source, table));
    });

    test('has put out each window and each pair of a join once, as all records of the log say', async () => {
      await using log = await shop.openLog();
      await verifyAnalytics(log, 'customers');
    });

    test('has counted every change once', async () => {
      await using log = await shop.openLog();
      const served = await shop.served();
      const counters = new Map([...served].filter(([key]) => key.startsWith('cdc:stats:')));
      assertSameKeys(counters, await changesIn(log));
      assert.deepEqual(await shop.ask('dlq.list', {}), []);
    });

    test('serves what an embedded one serves that met no fault', async () => {
      assertSameKeys(await shop.served(), await embedded.served());
    });
  });
});

const isSharedBy =
  (many: number) =>
  ({ workers }: StatusReport): boolean => {
    const shares = workers.filter(({ component }) =>
      component.startsWith('processor:cdc-processor'),
    );
    return (
      shares.length === many &&
      shares.every(({ partitions }) => partitions > 0) &&
      shares.reduce((sum, { partitions }) => sum + partitions, 0) === PARTITIONS
    );
  };

/** A network that is away until the end of the block. */
async function cut(relay: Relay): Promise<AsyncDisposable> {
  await relay.close();
  return { [Symbol.asyncDispose]: () => relay.open() };
}

/** A process that keeps its connections and answers nothing until the end of the block. */
function stopped(process: ServerControls): Disposable {
  process.pause();
  return { [Symbol.dispose]: () => process.resume() };
}
