import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { cdcProcessor } from '../../pipelines/shop/streams/cdc-processor.ts';
import { MemoryEventLog } from '../../src/adapters/memory/event-log.ts';
import { MemoryStore } from '../../src/adapters/memory/store.ts';
import { RedisStore } from '../../src/adapters/redis/store.ts';
import { MillraceError, remedyFor } from '../../src/domain/errors.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { supervise } from '../../src/lib/supervise.ts';
import type { Store } from '../../src/ports/store.ts';
import { TaskRunner, type TaskRunnerOptions } from '../../src/stream/tasks/task-runner.ts';
import { seededRandom } from '../random.ts';
import { Relay } from '../relay.ts';
import {
  append,
  COMMANDS,
  createTopics,
  DEAD,
  type Given,
  isTakenIn,
  letters,
  order,
  outputs,
  start,
  totals,
} from '../stream.ts';
import { temporaryRedis } from './servers/redis.ts';
import { servedFigures, ShopRows } from './shop-rows.ts';

const run = promisify(execFile);
const PARTITIONS = 2;
const SEED = Number(process.env['MILLRACE_TEST_SEED'] ?? Date.now());

/** Twenty times as fast, so that an idle task looks after its store every quarter of a second. */
const quick: Clock = {
  nowMs: () => systemClock.nowMs(),
  sleep: (ms, signal) => systemClock.sleep(ms / 20, signal),
};

const cli = async ({ port }: { port: number }, ...command: string[]): Promise<string> =>
  (await run('redis-cli', ['-p', String(port), ...command])).stdout.trim();

describe(`a processor over a Redis that is killed (seed ${SEED})`, () => {
  for (const [keeps, settings] of [
    ['every write', { appendonly: 'yes' }],
    ['a snapshot now and then', { appendonly: 'no', save: '' }],
  ] as const) {
    test(`that keeps ${keeps}: all is as if it had not been`, async () => {
      const random = seededRandom(SEED);
      const batches = Array.from({ length: 60 }, () => someOrders(random));
      await using server = await temporaryRedis(settings);
      await using store = await RedisStore.open(server);
      const log = new MemoryEventLog();
      await createTopics(log, PARTITIONS);
      await using processor = supervised({ log, store, processor: totals() });
      let kills = 0;
      for (const [at, batch] of batches.entries()) {
        await append(log, batch);
        const chance = random();
        await turns(random() * 30);
        if (keeps !== 'every write' && chance < 0.15) await cli(server, 'SAVE');
        if (chance < 0.9 && (at + 1) % 10 > 0) continue;
        kills += 1;
        await server.kill();
        await turns(random() * 30);
        await server.restart();
      }
      await processor.until(() => isTakenIn({ log, store }, PARTITIONS));
      assert.ok(kills >= 6);
      assert.deepEqual(await outcome(log, store), await undisturbed(batches));
    });
  }
});

describe(`a processor over a Redis that was emptied (seed ${SEED})`, () => {
  test('works through the log again, once for each time, and puts nothing out twice', async () => {
    const random = seededRandom(SEED);
    const batches = Array.from({ length: 40 }, () => someOrders(random));
    await using server = await temporaryRedis();
    await using store = await RedisStore.open(server);
    const log = new MemoryEventLog();
    await createTopics(log, PARTITIONS);
    await using processor = supervised({ log, store, processor: totals() });
    for (const [at, batch] of batches.entries()) {
      await append(log, batch);
      await turns(random() * 30);
      if (at % 10 === 7) await cli(server, at % 20 === 7 ? 'FLUSHALL' : 'FLUSHDB');
    }
    await processor.until(() => isTakenIn({ log, store }, PARTITIONS));
    // Now that there is nothing left to commit, too.
    await cli(server, 'FLUSHALL');
    await processor.until(() => isTakenIn({ log, store }, PARTITIONS));
    assert.deepEqual(await outcome(log, store), await undisturbed(batches));
  });

  test("has the shop's figures again, where the log has all", async () => {
    await using server = await temporaryRedis();
    await using store = await RedisStore.open(server);
    const { log, shop } = await newShop();
    await using processor = supervised({ log, store, processor: cdcProcessor });
    for (let round = 0; round < 6; round += 1) {
      await shop.change(300);
      await turns(20);
      if (round % 2 === 1) await cli(server, 'FLUSHALL');
    }
    await processor.until(() => isShopTakenIn(log, store));
    assert.deepEqual(await servedFigures(store), shop.figures());
    assert.ok(shop.figures().revenue > 0);
  });

  test('has them again by a fresh copy, where the log has lost its beginning', async () => {
    await using server = await temporaryRedis();
    await using store = await RedisStore.open(server);
    const { log, shop } = await newShop();
    const asked: string[] = [];
    await using processor = supervised({
      log,
      store,
      processor: cdcProcessor,
      onMissingHistory: async (topic) => {
        asked.push(topic);
        // As a connector does: later, while changes go on.
        setImmediate(() => void shop.copy(topic));
      },
    });
    await shop.change(600);
    await processor.until(() => isShopTakenIn(log, store));
    await removeBeginning(log, 'dbserver1.public.orders', 'dbserver1.public.products');
    await cli(server, 'FLUSHALL');
    await shop.change(300);
    await processor.until(async () => asked.length === 2 && (await isShopTakenIn(log, store)));
    await shop.change(100);
    await processor.until(async () => {
      const found = await servedFigures(store);
      return (await isShopTakenIn(log, store)) && found.revenue === shop.figures().revenue;
    });
    assert.deepEqual(await servedFigures(store), shop.figures());
    assert.deepEqual(asked.toSorted(), ['dbserver1.public.orders', 'dbserver1.public.products']);
  });
});

test('a processor follows the primary to a replica that lacked the last writes', async () => {
  const random = seededRandom(SEED);
  const batches = Array.from({ length: 30 }, () => someOrders(random));
  await using one = await temporaryRedis();
  await using two = await temporaryRedis();
  const relay = new Relay(one);
  await using _ = relay;
  await relay.open();
  await using store = await RedisStore.open({ host: one.host, port: relay.port });
  const log = new MemoryEventLog();
  await createTopics(log, PARTITIONS);
  await using processor = supervised({ log, store, processor: totals() });
  for (const [at, batch] of batches.entries()) {
    await append(log, batch);
    await turns(random() * 30);
    if (at === 5) await cli(two, 'REPLICAOF', one.host, String(one.port));
    if (at === 10) {
      await processor.until(async () => (await cli(one, 'WAIT', '1', '100')) === '1');
      await cli(two, 'REPLICAOF', 'NO', 'ONE');
    }
    if (at !== 20) continue;
    // What was committed since the tenth batch is on the old primary alone.
    relay.lead(two);
    await cli(one, 'REPLICAOF', two.host, String(two.port));
  }
  await processor.until(() => isTakenIn({ log, store }, PARTITIONS));
  assert.match(await cli(two, 'INFO', 'replication'), /role:master/);
  assert.ok(Number(await cli(two, 'GET', 'count')) > 0);
  assert.deepEqual(await outcome(log, store), await undisturbed(batches));
});

type Supervised = AsyncDisposable &
  Readonly<{
    /** Waits for what is so in the end, whatever the store says meanwhile. */
    until(isSo: () => Promise<boolean>): Promise<void>;
  }>;

function supervised(
  parts: Pick<TaskRunnerOptions, 'log' | 'store' | 'processor' | 'onMissingHistory'>,
): Supervised {
  const runner = new TaskRunner({
    ...parts,
    clock: quick,
    commandTopic: COMMANDS,
    deadLetterTopic: DEAD,
    limits: { maxRecords: 20 },
  });
  const stop = new AbortController();
  let failure: unknown;
  const ended = supervise('processor', (signal) => runner.run(signal), {
    signal: stop.signal,
    retryOf: (error) => remedyFor(error).retry,
    clock: quick,
    random: Math.random,
    onState: (_, state) => {
      if (state.state === 'failed') failure = state.error;
    },
  });
  return {
    until: async (isSo) => {
      const givenUpAtMs = Date.now() + 30_000;
      for (;;) {
        if (failure !== undefined) throw failure;
        if (await isSo().catch(whileItMends)) return;
        if (Date.now() > givenUpAtMs) throw new Error('it did not happen within 30 s');
        await turns(10);
      }
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await ended;
      if (failure !== undefined) throw failure;
    },
  };
}

function whileItMends(error: unknown): false {
  if (error instanceof MillraceError && remedyFor(error).retry === 'auto') return false;
  throw error;
}

/** Of forty ids, each in one partition; one in fifty cannot be processed. */
function someOrders(random: () => number): Given[] {
  return Array.from({ length: 25 }, () => {
    const amount = random() < 0.02 ? 'bad' : `${Math.floor(random() * 100)}.5`;
    const id = Math.floor(random() * 40);
    return order(id, amount, id % PARTITIONS);
  });
}

/** All that can be seen of what became of the records. */
async function outcome(log: MemoryEventLog, store: Store) {
  const served: unknown[] = [];
  for await (const key of store.keys('', 0)) served.push([key, await store.get(key, 0)]);
  const tasks = await store.tasks();
  return {
    served,
    state: await Promise.all(
      tasks.map(async (task) => {
        const entries = await Array.fromAsync(store.range(task, ''));
        // Of a parked record, without the stack of its failure.
        return entries.map(([key, value]) => (key.startsWith('\u0000') ? key : [key, value]));
      }),
    ),
    outputs: await Promise.all([0, 1, 2].map((partition) => outputs(log, partition))),
    letters: await letters(log),
  };
}

async function undisturbed(batches: readonly (readonly Given[])[]) {
  const log = new MemoryEventLog();
  await createTopics(log, PARTITIONS);
  for (const batch of batches) await append(log, batch);
  const store = new MemoryStore();
  await using running = start({ log, store, processor: totals() });
  await running.idle();
  return outcome(log, store);
}

async function newShop(): Promise<{ log: MemoryEventLog; shop: ShopRows }> {
  const log = new MemoryEventLog();
  await createTopics(log, 1);
  const cleanup = 'delete';
  await log.createTopics(cdcProcessor.topics.map((name) => ({ name, partitions: 1, cleanup })));
  return { log, shop: new ShopRows(log, seededRandom(SEED)) };
}

async function isShopTakenIn(log: MemoryEventLog, store: Store): Promise<boolean> {
  for (const topic of cdcProcessor.topics) {
    const { end } = await log.offsets({ topic, partition: 0 });
    const id = `${topic}-0`;
    if (((await store.offsets(`${cdcProcessor.name}/${id}`))[id] ?? 0) !== end) return false;
  }
  return true;
}

/** As retention does, of all that these topics hold now. */
async function removeBeginning(log: MemoryEventLog, ...topics: string[]): Promise<void> {
  const offsets = log.offsets.bind(log);
  const starts = new Map<string, number>();
  for (const topic of topics) starts.set(topic, (await offsets({ topic, partition: 0 })).end);
  log.offsets = async (of) => ({ start: starts.get(of.topic) ?? 0, end: (await offsets(of)).end });
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}
