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
import { defineTable } from '../../domain/table.ts';
import { Bell } from '../../lib/bell.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { EVERYTHING, type Loss, LossyStore } from '../../../test/lossy-store.ts';
import type { Crash, World } from '../../../test/mortal.ts';
import {
  appendChanges,
  createTopicsOf,
  type GivenChange,
  runThrough,
  valuesOf,
  withNewStore,
} from '../../../test/topology-runs.ts';
import { compile } from '../topology/compile.ts';
import type { Windowed } from '../topology/windows.ts';
import { type Sources, topology } from '../topology/topology.ts';
import { hopping, session, tumbling } from '../topology/windows.ts';

type Visit = Readonly<{ id: number; key: number; atMs: number }>;
const visits = defineTable<{ id: number }, Visit>({ topic: 'visits', key: ['id'] });

const GRACE_MS = 50;
const FAR_MS = 1_000_000;

const elements: fc.Arbitrary<readonly Visit[]> = fc
  .array(
    fc.record({
      key: fc.integer({ min: 0, max: 2 }),
      stepMs: fc.oneof(fc.integer({ min: 0, max: 30 }), fc.constant(300)),
      behindMs: fc.integer({ min: 0, max: GRACE_MS }),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .map((steps) => {
    let latestMs = 1000;
    return steps.map(({ key, stepMs, behindMs }, id) => {
      latestMs += stepMs;
      return { id, key, atMs: latestMs - behindMs };
    });
  });

const losses: fc.Arbitrary<readonly Loss[]> = fc.array(
  fc.record({
    call: fc.integer({ min: 0, max: 150 }),
    writes: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(EVERYTHING)),
  }),
  { minLength: 1, maxLength: 3 },
);

const crashes: fc.Arbitrary<readonly Crash[]> = fc.array(
  fc.record({
    call: fc.integer({ min: 0, max: 120 }),
    when: fc.constantFrom('before' as const, 'after' as const),
  }),
  { maxLength: 5 },
);

/** Counts in windows, and over them how many windows of each length there were. */
function build({ created }: Sources): void {
  const byKey = created(visits, { timeMs: ({ atMs }) => atMs }).groupBy(({ key }) => key);
  const text = (count: number, { key, startMs, endMs }: Windowed<number>) =>
    `${key} ${startMs} ${endMs} ${count}`;
  const fixed = byKey.windowedBy(tumbling({ sizeMs: 40, graceMs: GRACE_MS })).count();
  fixed.final().map(text).to('tumbling', { partitions: 2 });
  fixed.late().to('late');
  byKey
    .windowedBy(hopping({ sizeMs: 60, advanceMs: 20, graceMs: GRACE_MS }))
    .count()
    .final()
    .map(text)
    .to('hopping');
  byKey
    .windowedBy(session({ gapMs: 25, graceMs: GRACE_MS }))
    .count()
    .final()
    .map(text)
    .to('session');
  fixed
    .final()
    .groupBy(() => 0)
    .windowedBy(tumbling({ sizeMs: 80 }))
    .reduce((a, b) => a + b)
    .final()
    .map(text)
    .to('over');
}

const changesOf = (all: readonly Visit[]): GivenChange[] =>
  all.map((visit) => ({ table: visits as never, op: 'c', after: visit, atMs: visit.atMs }));

async function outputsOf(log: EventLog): Promise<Record<string, string[]>> {
  const topics = ['tumbling', 'hopping', 'session', 'over', 'late'];
  const all = topics.map(async (topic) => [topic, (await valuesOf(log, topic)).map(String).sort()]);
  return Object.fromEntries(await Promise.all(all)) as Record<string, string[]>;
}

function expectedOf(all: readonly Visit[]): Record<string, string[]> {
  const found: Record<string, string[]> = { tumbling: [], hopping: [], session: [], over: [] };
  const perTumbling: (readonly [startMs: number, count: number])[] = [];
  for (const key of [0, 1, 2]) {
    const times = all
      .filter((each) => each.key === key)
      .map(({ atMs }) => atMs)
      .toSorted((a, b) => a - b);
    const countIn = (startMs: number, endMs: number): number =>
      times.filter((time) => time >= startMs && time < endMs).length;
    const put = (topic: string, startMs: number, endMs: number): void => {
      const count = countIn(startMs, endMs);
      if (count === 0) return;
      found[topic]?.push(`${key} ${startMs} ${endMs} ${count}`);
      if (topic === 'tumbling') perTumbling.push([startMs, count]);
    };
    for (let startMs = 0; startMs < 20_000; startMs += 40) put('tumbling', startMs, startMs + 40);
    for (let startMs = 0; startMs < 20_000; startMs += 20) put('hopping', startMs, startMs + 60);
    let startMs: number | undefined;
    for (const [at, time] of times.entries()) {
      startMs ??= time;
      if ((times[at + 1] ?? Infinity) - time < 25) continue;
      put('session', startMs, time + 25);
      startMs = undefined;
    }
  }
  for (let startMs = 0; startMs < 20_000; startMs += 80) {
    const own = perTumbling.filter(([at]) => at >= startMs && at < startMs + 80);
    const sum = own.reduce((total, [, count]) => total + count, 0);
    if (sum > 0) found['over']?.push(`0 ${startMs} ${startMs + 80} ${sum}`);
  }
  for (const values of Object.values(found)) values.sort();
  return { ...found, late: [] };
}

/** The embedded ones need a folder; the caller closes them. */
type Opened = World & AsyncDisposable;

const inMemory = async (): Promise<Opened> => ({
  log: new MemoryEventLog(),
  store: new MemoryStore(),
  [Symbol.asyncDispose]: async () => undefined,
});

async function embedded(): Promise<Opened> {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-windows-'));
  const retention = { ms: 3_600_000, bytes: 1 << 30 };
  const log = await LmdbEventLog.open({ dir: join(dir, 'log'), wake: Bell.memory(), retention });
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
}

async function comparesEqual(numRuns: number, open: () => Promise<Opened>): Promise<void> {
  const partitions = fc.integer({ min: 1, max: 3 });
  await fc.assert(
    fc.asyncProperty(elements, crashes, partitions, async (given, schedule, count) => {
      await using world = await open();
      const { log } = world;
      const processor = compile(topology('orders', {}, build), () => count);
      await createTopicsOf(log, processor, [visits.topic], count);
      const options = { processor, partitions: count };
      const half = given.slice(0, given.length / 2);
      await appendChanges(log, changesOf(half), count);
      const left = [...schedule];
      await runThrough(world, {
        ...options,
        crashes: left.splice(0, left.length / 2),
        passedMs: Math.max(0, ...half.map(({ atMs }) => atMs)),
      });
      await appendChanges(log, changesOf(given.slice(half.length)), count);
      const toTheEnd = { ...options, passedMs: FAR_MS };
      await runThrough(world, { ...toTheEnd, crashes: left });
      const expected = expectedOf(given);
      assert.deepEqual(await outputsOf(log), expected);

      await runThrough(withNewStore(world), toTheEnd);
      assert.deepEqual(await outputsOf(log), expected, 'nothing is put out again');
    }),
    { numRuns, endOnFailure: true },
  );
}

test('each window is put out once, with all that was in it, whatever crashes in between', async () => {
  await comparesEqual(50, inMemory);
});

test('so it is with the embedded log and store', async () => {
  await comparesEqual(4, embedded);
});

test('and with a store that loses its last commits, or all of them', async () => {
  await fc.assert(
    fc.asyncProperty(
      elements,
      losses,
      fc.integer({ min: 1, max: 3 }),
      async (given, lost, count) => {
        const log = new MemoryEventLog();
        const store = new LossyStore(lost);
        const processor = compile(topology('orders', {}, build), () => count);
        await createTopicsOf(log, processor, [visits.topic], count);
        await appendChanges(log, changesOf(given), count);
        await runThrough(
          { log, store: store.asSeen() },
          { processor, partitions: count, passedMs: FAR_MS },
        );
        assert.deepEqual(await outputsOf(log), expectedOf(given));
      },
    ),
    { numRuns: 40, endOnFailure: true },
  );
});
