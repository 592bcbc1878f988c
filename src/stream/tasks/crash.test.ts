import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { LmdbEventLog } from '../../adapters/lmdb/event-log.ts';
import { LmdbStore } from '../../adapters/lmdb/store.ts';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { Bell } from '../../lib/bell.ts';
import type { Processor } from '../processor.ts';
import { type Crash, Killed, mortal, type World } from '../../../test/mortal.ts';
import {
  append,
  command,
  createTopics,
  eventually,
  type Given,
  INPUT,
  isTakenIn,
  letters,
  order,
  outputs,
  parkedCount,
  servedNumber,
  start,
  totals,
  truncate,
} from '../../../test/stream.ts';

const PARTITIONS = 2;
const LIMITS = { maxRecords: 3, maxBytes: 1_000_000, cacheEntries: 4 };

const crashes = fc.array(
  fc.record({
    call: fc.integer({ min: 0, max: 60 }),
    when: fc.constantFrom('before' as const, 'after' as const),
  }),
  { maxLength: 6 },
);

const given = fc.array(
  fc.oneof(
    {
      weight: 30,
      arbitrary: fc
        .tuple(
          fc.integer({ min: 0, max: 4 }),
          fc.constantFrom('1', '2.5', '-3', 'bad'),
          fc.integer({ min: 0, max: PARTITIONS - 1 }),
        )
        .map(([id, amount, partition]) => order(id, amount, partition)),
    },
    { weight: 1, arbitrary: fc.constant(truncate(0)) },
  ),
  { minLength: 1, maxLength: 40 },
);

test('whatever crashes in between, all effects are those of an uninterrupted run', async () => {
  await comparesEqual(60, async () => {
    const [log, store] = [new MemoryEventLog(), new MemoryStore()];
    return { log, store, [Symbol.asyncDispose]: async () => {} };
  });
});

test('so they are with the embedded log and store', async () => {
  await comparesEqual(4, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'millrace-stream-'));
    const retention = { ms: 3_600_000, bytes: 1 << 30 };
    const log = await LmdbEventLog.open({
      dir: join(dir, 'log'),
      wake: Bell.memory(),
      retention,
    });
    const store = await LmdbStore.open({ dir: join(dir, 'store') });
    return {
      log,
      store,
      [Symbol.asyncDispose]: async () => {
        await log[Symbol.asyncDispose]();
        await store[Symbol.asyncDispose]();
        await rm(dir, { recursive: true });
      },
    };
  });
});

async function comparesEqual(
  numRuns: number,
  newWorld: () => Promise<World & AsyncDisposable>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(given, crashes, fc.boolean(), async (records, schedule, isAsync) => {
      await using undisturbed = await newWorld();
      const expected = await outcomeOf(undisturbed, records, [], isAsync);
      if (!records.some(({ key }) => key === null)) {
        assert.deepEqual([expected.served, expected.totals], addedUp(records));
      }
      await using disturbed = await newWorld();
      assert.deepEqual(await outcomeOf(disturbed, records, schedule, isAsync), expected);
    }),
    { numRuns, endOnFailure: true },
  );
}

test('two workers of the same partitions do nothing twice, and replay once', async () => {
  const world = { log: new MemoryEventLog(), store: new MemoryStore() };
  const { log, store } = world;
  await createTopics(log, PARTITIONS);
  await append(log, [order(7, 'bad'), order(7, '1'), order(7, '1')]);
  await runThrough(world, totals(), [], isAllTakenIn);
  assert.equal(await parkedCount(store), 3);

  // As members that do not know yet that they were cut off from the group.
  log.join = async function* (_group, _topics, signal) {
    yield Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: INPUT, partition }));
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  };
  const parts = { ...mortal(world, undefined), processor: silent(), limits: LIMITS };
  await using one = start(parts);
  await using two = start(parts);
  await Promise.all([one, two].map(({ status }) => status(({ parked }) => parked === 3)));
  await command(log, { do: 'dlq-replay-all', processor: 'orders' });
  await Promise.all([one, two].map(({ status }) => status(({ parked }) => parked === 0)));
  for (let round = 0; round < 20; round += 1) {
    await append(log, [order(round % 3, '1', 0), order(round % 2, '1', 1)]);
  }
  await eventually(async () => (await isTakenIn(world, PARTITIONS)) || undefined);
  assert.deepEqual(
    [await servedNumber(store, 'sum'), await servedNumber(store, 'count')],
    [42, 43],
  );
});

/** Puts nothing out, which only one of two workers may, and lets every record pass. */
function silent(): Processor {
  const loud = totals(new Set(['bad']));
  return {
    ...loud,
    process: (each, context) =>
      loud.process(each, {
        task: context.task,
        state: context.state,
        serve: (write) => context.serve(write),
        forward: () => {},
      }),
  };
}

/** All that can be seen of what became of the records, in two phases: some fail, then are replayed. */
async function outcomeOf(
  world: World,
  records: readonly Given[],
  schedule: readonly Crash[],
  isAsync: boolean,
) {
  await createTopics(world.log, PARTITIONS);
  await append(world.log, records.slice(0, records.length / 2));
  const left = [...schedule];
  const half = left.splice(0, left.length / 2);
  await runThrough(world, totals(new Set(), isAsync), half, isAllTakenIn);
  const failed = await letters(world.log);
  await append(world.log, records.slice(records.length / 2));
  // In this order: the commit that empties the lot may also leave a record to forward.
  const isCured = async (): Promise<boolean> =>
    (await parkedCount(world.store)) === 0 && (await isTakenIn(world, PARTITIONS));
  await runThrough(world, totals(new Set(['bad']), isAsync), left, isCured, async () => {
    if (await isTakenIn(world, PARTITIONS)) {
      await command(world.log, { do: 'dlq-replay-all', processor: 'orders' });
    }
  });
  const { log, store } = world;
  return {
    failed,
    served: await Promise.all(['count', 'sum'].map((key) => servedNumber(store, key))),
    totals: await Promise.all(
      [0, 1].map(async (partition) => {
        const entries = await Array.fromAsync(store.range(`orders/${INPUT}-${partition}`, ''));
        return Object.fromEntries(entries.map(([id, total]) => [id, Number(total)]));
      }),
    ),
    outputs: await Promise.all([0, 1, 2].map((partition) => outputs(log, partition))),
  };
}

/** The same, reckoned from the records: once cured, each counts once. */
function addedUp(records: readonly Given[]): unknown {
  const totals: Record<string, number>[] = [{}, {}];
  let sum = 0;
  for (const { key, value, partition = 0 } of records) {
    const { id } = key as { id: number };
    const { after } = JSON.parse(String(value)) as { after: { amount: string } };
    const amount = Number(after.amount) || 0;
    sum += amount;
    const ofTask = totals[partition] ?? {};
    ofTask[id] = (ofTask[id] ?? 0) + amount;
  }
  return [[records.length, sum], totals];
}

/** Runs, is killed as the schedule says, runs again, until done. */
async function runThrough(
  world: World,
  processor: Processor,
  schedule: readonly Crash[],
  isDone: (world: World) => Promise<boolean>,
  urge?: () => Promise<void>,
): Promise<void> {
  for (const crash of [...schedule, undefined]) {
    const running = start({ ...mortal(world, crash), processor, limits: LIMITS });
    let isEnded = false;
    const ended = running.ended.then(
      () => undefined,
      (error: unknown) => {
        isEnded = true;
        return error;
      },
    );
    let looks = 0;
    const done = await eventually(async () => {
      if (isEnded) return 'crashed';
      if (urge !== undefined && looks++ % 20 === 10) await urge();
      return (await isDone(world)) ? 'done' : undefined;
    });
    if (done === 'done') await running.stop().catch(() => {});
    const error = await ended;
    if (error !== undefined && !(error instanceof Killed)) throw error;
  }
}

const isAllTakenIn = (world: World): Promise<boolean> => isTakenIn(world, PARTITIONS);
