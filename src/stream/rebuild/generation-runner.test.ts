import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Crash, Killed, mortal, type World } from '../../../test/mortal.ts';
import {
  append,
  command,
  COMMANDS,
  contents,
  createTopics,
  DEAD,
  eventually,
  headersOf,
  INPUT,
  isForwarded,
  order,
  OUTPUT,
} from '../../../test/stream.ts';
import { LmdbEventLog } from '../../adapters/lmdb/event-log.ts';
import { LmdbStore } from '../../adapters/lmdb/store.ts';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { defineTable } from '../../domain/table.ts';
import { Bell } from '../../lib/bell.ts';
import { must } from '../../lib/must.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import type { ServedValue, ServedWrite, Store } from '../../ports/store.ts';
import type { Processor } from '../processor.ts';
import { ownTopics } from '../stage/topology-subject.ts';
import { compile, type Compiled } from '../topology/compile.ts';
import { type Sources, topology } from '../topology/topology.ts';
import { GenerationRunner } from './generation-runner.ts';
import { loadState } from './generation-state.ts';
import { SHADOW } from './generation-store.ts';
import { requestRebuild, type RebuildRequest } from './rebuild-requests.ts';

const REBUILDS = 'rebuilds';
const LIMITS = { maxRecords: 3, maxBytes: 1_000_000, cacheEntries: 4 };
/** Waits for nothing, so that what is due every so often is due at once. */
const HURRIED: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 2), signal),
};

type Code = (generation: number) => Processor | Compiled;

/** Totals of the amounts by order: a later version of the same code serves other keys. */
function totalsOf(version: 1 | 2): Code {
  const idOf = ({ key }: { key: unknown }) => String((key as { id: number }).id);
  return () => ({
    name: 'orders',
    topics: [INPUT],
    serves: ['count', 'total:', 'ids', 'sum'],
    reads: (each) => [idOf(each)],
    process(each, context) {
      const { state } = context;
      const serve = (write: ServedWrite): void => context.serve(write);
      const id = idOf(each);
      const { amount } = each.after as { amount: string };
      const total = Number(state.get(id) ?? '0') + Number(amount) * version;
      state.set(id, String(total));
      serve({ op: 'add', key: 'count', amount: '1' });
      context.forward({ topic: OUTPUT, key: id, value: String(total) });
      if (version === 1) serve({ op: 'setAdd', key: 'ids', member: id });
      else serve({ op: 'add', key: 'sum', amount });
      if (version === 1 || Number(id) % 2 === 0)
        serve({ op: 'put', key: `total:${id}`, value: String(total) });
    },
  });
}

const orders = defineTable<{ id: number }, { id: number; amount: string }>({
  topic: INPUT,
  key: ['id'],
});

/** Both are of two stages where there are several partitions. */
function sums({ created }: Sources): void {
  created(orders)
    .groupBy(({ amount }) => amount)
    .count({ name: 'counts' })
    .serve({ prefix: 'orders-of:' });
}
function sumsDoubled({ created }: Sources): void {
  const doubled = created(orders)
    .filter(({ amount }) => amount !== '1')
    .groupBy(({ amount }) => `${amount} twice`)
    .count({ name: 'counts' });
  doubled.map((count) => count * 2).serve({ prefix: 'twice:' });
  doubled.changes().to(OUTPUT);
}

function topologyOf(build: (sources: Sources) => void, partitions: number): Code {
  const described = topology('orders', {}, build);
  const count = (topic: string) => (topic === OUTPUT ? 3 : partitions);
  return (generation) => compile(described, count, generation);
}

async function newWorld(partitions = 1): Promise<World & AsyncDisposable> {
  const world = { log: new MemoryEventLog(), store: new MemoryStore() };
  await prepare(world, partitions);
  return { ...world, [Symbol.asyncDispose]: async () => {} };
}

async function prepare({ log }: World, partitions: number, codes: readonly Code[] = []) {
  await createTopics(log, partitions);
  await log.createTopics([{ name: REBUILDS, partitions: 1, cleanup: 'compact' }]);
  for (const code of codes) {
    const first = code(1);
    if ('stages' in first) await log.createTopics(ownTopics(first));
  }
}

function startCode({ log, store }: World, processorOf: Code) {
  const runner = new GenerationRunner({
    name: 'orders',
    processorOf,
    log,
    store,
    clock: HURRIED,
    commandTopic: COMMANDS,
    requestTopic: REBUILDS,
    deadLetterTopic: DEAD,
    limits: LIMITS,
  });
  const stopping = new AbortController();
  let failure: { error: unknown } | undefined;
  const ended = runner.run(stopping.signal);
  ended.catch((error: unknown) => {
    failure = { error };
  });
  const stop = async (): Promise<void> => {
    stopping.abort();
    await ended;
  };
  const until = <T>(look: () => Promise<T | undefined>): Promise<T> =>
    eventually(async () => {
      if (failure !== undefined) throw failure.error;
      return look();
    });
  /** Where the tasks are, if that is everywhere the end. */
  const ends = async (): Promise<string | undefined> => {
    const { tasks, rebuild } = await runner.status();
    const places = tasks.flatMap(({ partitions }) => partitions);
    const isDone = places.every(({ offset, end }) => offset === end);
    return tasks.length > 0 && isDone && rebuild === undefined ? JSON.stringify(places) : undefined;
  };
  const idle = (): Promise<unknown> =>
    until(async () => {
      const before = await ends();
      if (before === undefined || !(await isForwarded(store))) return undefined;
      return (await ends()) === before || undefined;
    });
  return { runner, ended, stop, until, idle, [Symbol.asyncDispose]: stop };
}

function request({ log }: World, from: RebuildRequest['from'] = {}): Promise<number> {
  return requestRebuild(log, REBUILDS, { processor: 'orders', from, nowMs: 0 });
}

async function isCurrent({ store }: World, generation: number): Promise<true | undefined> {
  const { state } = await loadState(store, 'orders');
  return (state.current === generation && state.rebuild === undefined) || undefined;
}

async function served(store: Store, prefix = ''): Promise<Record<string, ServedValue | undefined>> {
  const keys = await Array.fromAsync(store.keys(prefix, 0));
  const entries = keys.map(async (key) => [key, await store.get(key, 0)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** State of each task, by its topic without the generation. */
async function states(store: Store): Promise<Record<string, readonly (readonly string[])[]>> {
  const found: Record<string, readonly (readonly string[])[]> = {};
  for (const task of await store.tasks()) {
    if (task === 'orders/generation') continue;
    const name = task.replace(/^orders(~\d+)?\//, '').replace(/\.g\d+\./, '.');
    const entries = await Array.fromAsync(store.range(task, ''));
    // How far time has come names the topics of the generation.
    const own = entries.filter(([key]) => !key.startsWith('\u0000'));
    if (own.length > 0) found[name] = own;
  }
  return found;
}

/** What a run of this code alone comes to. */
async function fresh(world: World, code: Code, partitions: number) {
  const own = await newWorld(partitions);
  await prepare(own, partitions, [code]);
  for (let partition = 0; partition < partitions; partition += 1) {
    const given = (await contents(world.log, INPUT, partition)).map(({ key, value }) => ({
      key,
      value: value === null ? null : Buffer.from(value),
      partition,
    }));
    await append(own.log, given);
  }
  await using running = startCode(own, code);
  await running.idle();
  assert.equal((await running.runner.status()).parked, 0);
  return { served: await served(own.store), states: await states(own.store) };
}

const outcomeOf = async ({ store }: World) => ({
  served: await served(store),
  states: await states(store),
});

const some = (count: number, partitions = 1) =>
  Array.from({ length: count }, (_, at) =>
    order(at % 7, String(1 + (at % 3)), (at % 7) % partitions),
  );

describe('a processor that is rebuilt', () => {
  test('comes to what a run over all records comes to; readers see old values or new ones', async () => {
    const world = await newWorld();
    await append(world.log, some(50));
    {
      await using running = startCode(world, totalsOf(1));
      await running.idle();
    }
    const old = await served(world.store);
    const expected = await fresh(world, totalsOf(2), 1);
    const generation = await request(world);
    const seen = new Set<string>();
    {
      await using running = startCode(world, totalsOf(2));
      await running.until(async () => {
        for (const key of new Set([...Object.keys(old), ...Object.keys(expected.served)])) {
          const value = JSON.stringify(await world.store.get(key, 0));
          const allowed = [old[key], expected.served[key]].map((each) => JSON.stringify(each));
          assert.ok(allowed.includes(value), `${key} was ${value}`);
          seen.add(`${key} ${allowed.indexOf(value)}`);
        }
        return isCurrent(world, generation);
      });
      await running.idle();
    }
    assert.deepEqual(await outcomeOf(world), expected);
    assert.ok(seen.has('total:1 0') && seen.has('total:0 0'));
    const rest = await world.store.tasks();
    assert.deepEqual(rest, ['orders/generation', `orders~${generation}/${INPUT}-0`]);
  });

  test('goes on where it is, and puts out again under the same ids', async () => {
    const world = await newWorld();
    await using running = startCode(world, totalsOf(1));
    await append(world.log, some(20));
    await running.idle();
    const generation = await request(world);
    for (let at = 0; !(await isCurrent(world, generation)); at += 1) {
      await append(world.log, [order(at % 5, '1')]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await append(world.log, some(5));
    await running.idle();
    assert.deepEqual(await outcomeOf(world), await fresh(world, totalsOf(1), 1));
    const { end } = await world.log.offsets({ topic: INPUT, partition: 0 });
    assert.deepEqual(await world.store.get('count', 0), { type: 'string', value: String(end) });
    const records = await Promise.all([0, 1, 2].map((each) => contents(world.log, OUTPUT, each)));
    const ids = records.flat().map((record) => headersOf(record)['millrace.id'] ?? '');
    assert.equal(new Set(ids).size, end);
    assert.ok(ids.length >= 40);
    const { records: worked } = await running.runner.status();
    assert.ok(worked >= end + 20);
  });

  test('begins where it is asked to', async () => {
    const world = await newWorld(2);
    await append(world.log, some(40, 2));
    await using running = startCode(world, totalsOf(1));
    await running.idle();
    const { end } = await world.log.offsets({ topic: INPUT, partition: 0 });
    const generation = await request(world, { [`${INPUT}-0`]: end - 3 });
    await running.until(() => isCurrent(world, generation));
    await running.idle();
    const { end: other } = await world.log.offsets({ topic: INPUT, partition: 1 });
    const value = String(3 + other);
    assert.deepEqual(await world.store.get('count', 0), { type: 'string', value });
  });

  test('stays as it is while it is held', async () => {
    const world = await newWorld();
    await append(world.log, some(9));
    await using running = startCode(world, totalsOf(1));
    await running.idle();
    const hold = { processor: 'orders', hold: 'h' };
    await command(world.log, { do: 'hold', ...hold, at: {}, leaseMs: 60_000 });
    await running.until(async () => (await running.runner.status()).hold);
    const generation = await request(world);
    await running.until(async () => (await running.runner.status()).rebuild);
    await command(world.log, { do: 'release', ...hold });
    await running.until(() => isCurrent(world, generation));
  });

  test('is rebuilt again by a second wish, whatever became of the first', async () => {
    const world = await newWorld();
    await append(world.log, some(30));
    await using running = startCode(world, totalsOf(1));
    const first = await request(world);
    const second = await request(world);
    assert.ok(second > first);
    await running.until(() => isCurrent(world, second));
    await running.idle();
    assert.deepEqual(await outcomeOf(world), await fresh(world, totalsOf(1), 1));
  });

  test('is rebuilt by two workers', async () => {
    const world = await newWorld(2);
    await append(world.log, some(60, 2));
    await using one = startCode(world, totalsOf(1));
    await using two = startCode(world, totalsOf(1));
    await Promise.all([one, two].map(({ idle }) => idle()));
    const generation = await request(world);
    await one.until(() => isCurrent(world, generation));
    await append(world.log, some(20, 2));
    await Promise.all([one, two].map(({ idle }) => idle()));
    assert.deepEqual(await outcomeOf(world), await fresh(world, totalsOf(1), 2));
  });
});

for (const partitions of [1, 2]) {
  test(`a changed topology of ${partitions} partitions is refused, then rebuilt`, async () => {
    const [before, after] = [topologyOf(sums, partitions), topologyOf(sumsDoubled, partitions)];
    const world = await newWorld(partitions);
    await prepare(world, partitions, [before]);
    await append(world.log, some(30, partitions));
    {
      await using running = startCode(world, before);
      await running.idle();
    }
    const old = await served(world.store);
    await prepare(world, partitions, [after]);
    const refused = startCode(world, after);
    await assert.rejects(refused.ended, { code: 'topology_changed' });
    const { state, problem } = await refused.runner.status();
    assert.equal(state, 'failed');
    assert.match(problem ?? '', /topology/);
    assert.deepEqual(await served(world.store), old);

    const generation = await request(world);
    await using running = startCode(world, after);
    await running.until(() => isCurrent(world, generation));
    await append(world.log, some(10, partitions));
    await running.idle();
    assert.deepEqual(await outcomeOf(world), await fresh(world, after, partitions));
  });
}

const crashes = fc.array(
  fc.record({
    call: fc.integer({ min: 0, max: 150 }),
    when: fc.constantFrom('before' as const, 'after' as const),
  }),
  { maxLength: 8 },
);

/** Rebuilds, is killed as the schedule says, and again, until done. */
async function rebuildsThrough(
  world: World,
  [before, after]: readonly [Code, Code],
  schedule: readonly Crash[],
  partitions: number,
): Promise<void> {
  await prepare(world, partitions, [before, after]);
  await append(world.log, some(40, partitions));
  {
    await using running = startCode(world, before);
    await running.idle();
  }
  const generation = await request(world);
  for (const crash of [...schedule, undefined]) {
    const running = startCode(mortal(world, crash), after);
    const dead = running.ended.catch((error: unknown) => error);
    let isEnded = false;
    void dead.then(() => {
      isEnded = true;
    });
    await eventually(async () => isEnded || (await isCurrent(world, generation)));
    if (!isEnded) await running.stop().catch(() => undefined);
    const error = await dead;
    if (error !== undefined && !(error instanceof Killed)) throw error;
  }
  await append(world.log, some(10, partitions));
  {
    await using running = startCode(world, after);
    await running.idle();
  }
  assert.deepEqual(await outcomeOf(world), await fresh(world, after, partitions));
  assert.deepEqual(await served(world.store, SHADOW), {});
}

describe('killed at any instant, and again, it comes to the same', () => {
  const codes = (partitions: number): readonly (readonly [Code, Code])[] => [
    [totalsOf(1), totalsOf(2)],
    [topologyOf(sums, partitions), topologyOf(sumsDoubled, partitions)],
  ];
  for (const at of [0, 1]) {
    test(`in memory, ${at === 0 ? 'code' : 'a topology'}`, async () => {
      await fc.assert(
        fc.asyncProperty(crashes, fc.integer({ min: 1, max: 2 }), async (schedule, partitions) => {
          const world = { log: new MemoryEventLog(), store: new MemoryStore() };
          await rebuildsThrough(
            world,
            must(codes(partitions)[at], 'there are two'),
            schedule,
            partitions,
          );
        }),
        { numRuns: 25, endOnFailure: true },
      );
    });
  }

  test('with the embedded log and store', async () => {
    await fc.assert(
      fc.asyncProperty(crashes, async (schedule) => {
        const dir = await mkdtemp(join(tmpdir(), 'millrace-rebuild-'));
        await using stack = new AsyncDisposableStack();
        stack.defer(() => rm(dir, { recursive: true }));
        const retention = { ms: 3_600_000, bytes: 1 << 30 };
        const wake = Bell.memory();
        const log = stack.use(await LmdbEventLog.open({ dir: join(dir, 'log'), wake, retention }));
        const store = stack.use(await LmdbStore.open({ dir: join(dir, 'store') }));
        await rebuildsThrough({ log, store }, [totalsOf(1), totalsOf(2)], schedule, 2);
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });
});
