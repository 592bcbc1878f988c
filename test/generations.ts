import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import fc from 'fast-check';
import { MemoryEventLog } from '../src/adapters/memory/event-log.ts';
import { MemoryStore } from '../src/adapters/memory/store.ts';
import { defineTable } from '../src/domain/table.ts';
import { type Clock, systemClock } from '../src/lib/clock.ts';
import type { ServedValue, ServedWrite, Store } from '../src/ports/store.ts';
import type { Processor } from '../src/stream/processor.ts';
import { GenerationRunner } from '../src/stream/rebuild/generation-runner.ts';
import { loadState } from '../src/stream/rebuild/generation-state.ts';
import { SHADOW } from '../src/stream/rebuild/generation-store.ts';
import { type RebuildRequest, requestRebuild } from '../src/stream/rebuild/rebuild-requests.ts';
import { ownTopics } from '../src/stream/stage/topology-subject.ts';
import { compile, type Compiled } from '../src/stream/topology/compile.ts';
import { type Sources, topology } from '../src/stream/topology/topology.ts';
import { type Crash, Killed, mortal, type World } from './mortal.ts';
import {
  append,
  COMMANDS,
  contents,
  createTopics,
  DEAD,
  INPUT,
  isForwarded,
  order,
  OUTPUT,
} from './stream.ts';

/** For tests of processors that are rebuilt: two codes of each, and what becomes of one after the other. */

const REBUILDS = 'rebuilds';
const LIMITS = { maxRecords: 3, maxBytes: 1_000_000, cacheEntries: 4 };
/** Waits for nothing, so that what is due every so often is due at once. */
const HURRIED: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 2), signal),
};

export type Code = (generation: number) => Processor | Compiled;

/** Totals of the amounts by order: a later version of the same code serves other keys. */
export function totalsOf(version: 1 | 2): Code {
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
export function sums({ created }: Sources): void {
  created(orders)
    .groupBy(({ amount }) => amount)
    .count({ name: 'counts' })
    .serve({ prefix: 'orders-of:' });
}
export function sumsDoubled({ created }: Sources): void {
  const doubled = created(orders)
    .filter(({ amount }) => amount !== '1')
    .groupBy(({ amount }) => `${amount} twice`)
    .count({ name: 'counts' });
  doubled.map((count) => count * 2).serve({ prefix: 'twice:' });
  doubled.changes().to(OUTPUT);
}

export function topologyOf(build: (sources: Sources) => void, partitions: number): Code {
  const described = topology('orders', {}, build);
  const count = (topic: string) => (topic === OUTPUT ? 3 : partitions);
  return (generation) => compile(described, count, generation);
}

export async function newWorld(partitions = 1): Promise<World & AsyncDisposable> {
  const world = { log: new MemoryEventLog(), store: new MemoryStore() };
  await prepare(world, partitions);
  return { ...world, [Symbol.asyncDispose]: async () => {} };
}

export async function prepare({ log }: World, partitions: number, codes: readonly Code[] = []) {
  await createTopics(log, partitions);
  await log.createTopics([{ name: REBUILDS, partitions: 1, cleanup: 'compact' }]);
  for (const code of codes) {
    const first = code(1);
    if ('stages' in first) await log.createTopics(ownTopics(first));
  }
}

export function startCode({ log, store }: World, processorOf: Code) {
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
    patiently(async () => {
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

/** A server may take long; nothing else does. */
async function patiently<T>(look: () => Promise<T | undefined>): Promise<T> {
  const givenUpAt = Date.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > givenUpAt) throw new Error('it did not happen within 30 s');
    await wait(1);
  }
}

export function request({ log }: World, from: RebuildRequest['from'] = {}): Promise<number> {
  return requestRebuild(log, REBUILDS, { processor: 'orders', from, nowMs: 0 });
}

export async function isCurrent({ store }: World, generation: number): Promise<true | undefined> {
  const { state } = await loadState(store, 'orders');
  return (state.current === generation && state.rebuild === undefined) || undefined;
}

export async function served(
  store: Store,
  prefix = '',
): Promise<Record<string, ServedValue | undefined>> {
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
export async function fresh(world: World, code: Code, partitions: number) {
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

export const outcomeOf = async ({ store }: World) => ({
  served: await served(store),
  states: await states(store),
});

export const some = (count: number, partitions = 1) =>
  Array.from({ length: count }, (_, at) =>
    order(at % 7, String(1 + (at % 3)), (at % 7) % partitions),
  );

export const crashes = fc.array(
  fc.record({
    call: fc.integer({ min: 0, max: 150 }),
    when: fc.constantFrom('before' as const, 'after' as const),
  }),
  { maxLength: 8 },
);

/** Rebuilds, is killed as the schedule says, and again, until done. */
export async function rebuildsThrough(
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
    await patiently(async () => isEnded || (await isCurrent(world, generation)) || undefined);
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
