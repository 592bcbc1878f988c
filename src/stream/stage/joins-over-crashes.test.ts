import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { defineTable } from '../../domain/table.ts';
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
import { type Sources, topology } from '../topology/topology.ts';

type Element = Readonly<{ id: number; key: number; atMs: number }>;
type Row = Readonly<{ key: number; name: string }>;
type Given = Element & Readonly<{ to: 'lefts' | 'rights' | 'rows' }>;

const lefts = defineTable<{ id: number }, Element>({ topic: 'lefts', key: ['id'] });
const rights = defineTable<{ id: number }, Element>({ topic: 'rights', key: ['id'] });
const rows = defineTable<{ key: number }, Row>({ topic: 'rows', key: ['key'] });
const TABLES = { lefts, rights, rows };
const TOPICS = ['inner', 'left', 'outer', 'with-row', 'sorted'] as const;

const GRACE_MS = 50;
const BEFORE_MS = 30;
const AFTER_MS = 60;
const FAR_MS = 1_000_000;

/** Elements no more than the grace behind; rows' changes in the order of their times, one at a time. */
const history: fc.Arbitrary<readonly Given[]> = fc
  .array(
    fc.record({
      to: fc.constantFrom('lefts' as const, 'rights' as const, 'rows' as const),
      key: fc.integer({ min: 0, max: 2 }),
      stepMs: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(400)),
      behindMs: fc.integer({ min: 0, max: GRACE_MS }),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .map((steps) => {
    let latestMs = 1000;
    return steps.map(({ to, key, stepMs, behindMs }, id) => {
      latestMs += stepMs;
      return { to, id, key, atMs: to === 'rows' ? latestMs : latestMs - behindMs };
    });
  });

const crashes: fc.Arbitrary<readonly Crash[]> = fc.array(
  fc.record({
    call: fc.integer({ min: 0, max: 160 }),
    when: fc.constantFrom('before' as const, 'after' as const),
  }),
  { maxLength: 5 },
);

const losses: fc.Arbitrary<readonly Loss[]> = fc.array(
  fc.record({
    call: fc.integer({ min: 0, max: 200 }),
    writes: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(EVERYTHING)),
  }),
  { minLength: 1, maxLength: 3 },
);

function build({ created, table }: Sources): void {
  const timeMs = ({ atMs }: Element): number => atMs;
  const left = created(lefts, { timeMs }).selectKey(({ key }) => key);
  const right = created(rights, { timeMs }).selectKey(({ key }) => key);
  const window = { beforeMs: BEFORE_MS, afterMs: AFTER_MS, graceMs: GRACE_MS };
  left.join(right, (a, b) => `${a.id} ${b.id}`, window).to('inner');
  left.join(right, (a, b) => `${a.id} ${b?.id ?? '-'}`, { ...window, type: 'left' }).to('left');
  left
    .join(right, (a, b) => `${a?.id ?? '-'} ${b?.id ?? '-'}`, { ...window, type: 'outer' })
    .to('outer');
  left
    .selectKey((_, key) => ({ key }))
    .joinTable(table(rows), ({ id }, row) => `${id} ${row?.name ?? '-'}`, {
      type: 'left',
      graceMs: GRACE_MS,
    })
    .to('with-row');
  left
    .merge(right)
    .process<string, readonly Element[]>({
      name: 'sort',
      onRecord(element, { state, setTimer }) {
        state.set([...(state.get() ?? []), element]);
        // By then all that is as early has come.
        setTimer(element.atMs + GRACE_MS + 1);
      },
      onTimer({ timeMs: nowMs, state, emit }) {
        const isRipe = ({ atMs }: Element): boolean => atMs + GRACE_MS + 1 <= nowMs;
        const all = state.get() ?? [];
        for (const { id, key } of all.filter(isRipe).toSorted((a, b) => a.id - b.id)) {
          emit(`${key} ${id}`);
        }
        const rest = all.filter((each) => !isRipe(each));
        if (rest.length === 0) state.clear();
        else state.set(rest);
      },
    })
    .to('sorted');
}

function changesOf(all: readonly Given[]): GivenChange[] {
  return all.map(({ to, id, key, atMs }) => ({
    table: TABLES[to] as never,
    op: to === 'rows' ? 'u' : 'c',
    after: to === 'rows' ? { key, name: `n${id}` } : { id, key, atMs },
    atMs,
  }));
}

/** The sorted ones by key, as they came; of the others the order is nobody's concern. */
async function outputsOf(log: EventLog): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const topic of TOPICS) {
    const all = (await valuesOf(log, topic)).map(String);
    found[topic] = topic === 'sorted' ? byKey(all) : all.toSorted(byText);
  }
  return found;
}

function byKey(all: readonly string[]): unknown {
  return [0, 1, 2].map((key) => all.filter((each) => each.startsWith(`${key} `)));
}

const byText = (a: string, b: string): number => (a < b ? -1 : 1);

function expectedOf(all: readonly Given[]): Record<string, unknown> {
  const [left, right, changes] = (['lefts', 'rights', 'rows'] as const).map((side) =>
    all.filter(({ to }) => to === side),
  ) as [Given[], Given[], Given[]];
  const pairs = left.flatMap((a) =>
    right
      .filter((b) => a.key === b.key)
      .filter((b) => b.atMs >= a.atMs - BEFORE_MS && b.atMs <= a.atMs + AFTER_MS)
      .map((b) => [a.id, b.id] as const),
  );
  const inner = pairs.map(([a, b]) => `${a} ${b}`);
  const ofLeft = left.filter(({ id }) => !pairs.some(([a]) => a === id)).map(({ id }) => `${id} -`);
  const ofRight = right
    .filter(({ id }) => !pairs.some(([, b]) => b === id))
    .map(({ id }) => `- ${id}`);
  const withRow = left.map(({ id, key, atMs }) => {
    const row = changes.findLast((each) => each.key === key && each.atMs <= atMs);
    return `${id} ${row === undefined ? '-' : `n${row.id}`}`;
  });
  const sorted = [...left, ...right].toSorted((a, b) => a.atMs - b.atMs || a.id - b.id);
  return {
    inner: inner.toSorted(byText),
    left: [...inner, ...ofLeft].toSorted(byText),
    outer: [...inner, ...ofLeft, ...ofRight].toSorted(byText),
    'with-row': withRow.toSorted(byText),
    sorted: byKey(sorted.map(({ key, id }) => `${key} ${id}`)),
  };
}

async function opened(partitions: number) {
  const log = new MemoryEventLog();
  const processor = compile(topology('orders', {}, build), () => partitions);
  await createTopicsOf(log, processor, Object.keys(TABLES), partitions);
  return { log, options: { processor, partitions } };
}

const toTheEnd = { passedMs: FAR_MS };
const partitions = fc.integer({ min: 1, max: 3 });

test('joins and timers do what going through all elements says, whatever crashes', async () => {
  await fc.assert(
    fc.asyncProperty(history, crashes, partitions, async (given, schedule, count) => {
      const { log, options } = await opened(count);
      const world: World = { log, store: new MemoryStore() };
      const half = given.slice(0, given.length / 2);
      const left = [...schedule];
      await appendChanges(log, changesOf(half), count);
      await runThrough(world, {
        ...options,
        crashes: left.splice(0, left.length / 2),
        passedMs: Math.max(0, ...half.map(({ atMs }) => atMs)),
      });
      await appendChanges(log, changesOf(given.slice(half.length)), count);
      await runThrough(world, { ...options, ...toTheEnd, crashes: left });
      const expected = expectedOf(given);
      assert.deepEqual(await outputsOf(log), expected);

      await runThrough(withNewStore(world), { ...options, ...toTheEnd });
      assert.deepEqual(await outputsOf(log), expected, 'nothing is put out again');
    }),
    { numRuns: 40, endOnFailure: true },
  );
});

test('so they do with a store that loses its last commits, or all of them', async () => {
  await fc.assert(
    fc.asyncProperty(history, losses, partitions, async (given, lost, count) => {
      const { log, options } = await opened(count);
      await appendChanges(log, changesOf(given), count);
      const store = new LossyStore(lost).asSeen();
      await runThrough({ log, store }, { ...options, ...toTheEnd });
      assert.deepEqual(await outputsOf(log), expectedOf(given));
    }),
    { numRuns: 30, endOnFailure: true },
  );
});
