import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { defineTable } from '../../domain/table.ts';
import { TopologyTestDriver } from '../driver/topology-test-driver.ts';
import type { Grouped, Stream } from '../topology/streams.ts';
import { topology } from '../topology/topology.ts';
import { hopping, session, tumbling, type Window, type Windowed } from '../topology/windows.ts';

type Visit = Readonly<{ id: number; key: number; size: number }>;
type Element = Visit & Readonly<{ atMs: number }>;
/** As it is written: an aggregate of a window. */
type Result = Readonly<{ key: number; startMs: number; endMs: number; value: unknown }>;

const byId = defineTable<{ id: number }, Visit>({ topic: 'visits', key: ['id'] });
const byKey = defineTable<{ key: number }, Visit>({ topic: 'visits', key: ['key'] });

const GRACE_MS = 50;
const FAR_MS = 1_000_000;

/** None more than so much behind the latest before it. */
const elements = (mostBehindMs: number): fc.Arbitrary<readonly Element[]> =>
  fc
    .array(
      fc.record({
        key: fc.integer({ min: 0, max: 2 }),
        size: fc.integer({ min: 1, max: 9 }),
        stepMs: fc.oneof(fc.integer({ min: 0, max: 30 }), fc.constant(200)),
        behindMs: fc.integer({ min: 0, max: mostBehindMs }),
      }),
      { maxLength: 50 },
    )
    .map((steps) => {
      let latestMs = 1000;
      return steps.map(({ key, size, stepMs, behindMs }, id) => {
        latestMs += stepMs;
        return { id, key, size, atMs: latestMs - behindMs };
      });
    });

const window: fc.Arbitrary<Window> = fc.oneof(
  fc.constant(tumbling({ sizeMs: 40, graceMs: GRACE_MS })),
  fc.constant(hopping({ sizeMs: 60, advanceMs: 20, graceMs: GRACE_MS })),
  fc.constant(hopping({ sizeMs: 50, advanceMs: 30, graceMs: GRACE_MS })),
  fc.constant(session({ gapMs: 25, graceMs: GRACE_MS })),
);

const AGGREGATES = ['count', 'reduce', 'aggregate'] as const;
type Aggregate = (typeof AGGREGATES)[number];

/** Numbers of its elements, ascending. */
const withId = (ids: readonly number[], { id }: Visit): readonly number[] =>
  [...ids, id].toSorted((a, b) => a - b);

function valueOf(aggregate: Aggregate, all: readonly Visit[]): unknown {
  if (aggregate === 'count') return all.length;
  if (aggregate === 'aggregate') return all.map(({ id }) => id).toSorted((a, b) => a - b);
  return all.reduce((sum, { size }) => sum + size, 0);
}

type Case = Readonly<{
  window: Window;
  aggregate: Aggregate;
  partitions: number;
  isRepartitioned: boolean;
  /** Else the final values alone are asked for. */
  withUpdates: boolean;
  withMerge: boolean;
}>;

const cases: fc.Arbitrary<Case> = fc
  .record({
    window,
    aggregate: fc.constantFrom(...AGGREGATES),
    partitions: fc.constantFrom(1, 3),
    isRepartitioned: fc.boolean(),
    withUpdates: fc.boolean(),
    withMerge: fc.boolean(),
  })
  .map((each) => ({ ...each, withMerge: each.withMerge || each.window.type === 'session' }));

type Outcome = Readonly<{ finals: Result[]; updates: Result[]; late: number; lateIds: number[] }>;

function outcomeOf(given: readonly Element[], options: Case): Outcome {
  const { aggregate, partitions, isRepartitioned, withUpdates, withMerge } = options;
  const table = isRepartitioned ? byId : byKey;
  const build = topology('test', {}, ({ created }) => {
    const grouped = isRepartitioned
      ? created(byId).groupBy(({ key }) => key)
      : created(byKey).groupByKey();
    const windowed = (grouped as Grouped<unknown, Visit>).windowedBy(
      options.window as ReturnType<typeof session>,
    );
    const merge = (a: readonly number[], b: readonly number[]) =>
      [...a, ...b].toSorted((x, y) => x - y);
    const results = {
      count: () => windowed.count(),
      reduce: () => windowed.reduce((a, b) => ({ ...a, id: 0, size: a.size + b.size })),
      aggregate: () =>
        windowed.aggregate(() => [] as readonly number[], withId, withMerge ? { merge } : {}),
    }[aggregate]();
    write(results.final() as Stream<Windowed<number>, unknown>, 'final');
    results.late().to('late');
    if (withUpdates) write(results.updates() as Stream<Windowed<number>, unknown>, 'updates');
  });
  const driver = new TopologyTestDriver(build, { partitions });
  for (const { atMs, ...visit } of given) driver.insert<unknown, Visit>(table, visit, { atMs });
  driver.advanceTime(FAR_MS);
  const resultsIn = (topic: string) =>
    driver.read(topic).map(({ key, value }) => ({
      ...windowIn(key),
      value,
    }));
  return {
    finals: inOrder(resultsIn('final')),
    updates: resultsIn('updates'),
    late: driver.late,
    lateIds: driver.read('late').map(({ value }) => (value as Visit).id),
  };
}

/** Grouped by the table's key, that is a row. */
function windowIn(text: string | null): Omit<Result, 'value'> {
  const { key, ...span } = JSON.parse(text ?? '') as Windowed<number | { key: number }>;
  return { key: typeof key === 'number' ? key : key.key, ...span };
}

function write(results: Stream<Windowed<number>, unknown>, topic: string): void {
  results.to(topic, { key: (_, windowed) => JSON.stringify(windowed) });
}

/** By going through all elements for all windows. */
function expectedOf(given: readonly Element[], { window: of, aggregate }: Case): Result[] {
  const found: Result[] = [];
  for (const key of [0, 1, 2]) {
    const own = given.filter((each) => each.key === key);
    for (const [startMs, endMs] of spansOf(own, of)) {
      const inside = own.filter(({ atMs }) => atMs >= startMs && atMs < endMs);
      if (inside.length === 0) continue;
      found.push({ key, startMs, endMs, value: valueOf(aggregate, inside) });
    }
  }
  return inOrder(found);
}

function spansOf(own: readonly Element[], of: Window): (readonly [number, number])[] {
  const times = own.map(({ atMs }) => atMs).toSorted((a, b) => a - b);
  if (of.type !== 'session') {
    const advanceMs = of.type === 'hopping' ? of.advanceMs : of.sizeMs;
    const spans: (readonly [number, number])[] = [];
    for (let start = 0; start < 20_000; start += advanceMs) spans.push([start, start + of.sizeMs]);
    return spans;
  }
  const starts = times.filter((time, at) => at === 0 || time - (times[at - 1] ?? 0) >= of.gapMs);
  return starts.map((start, at) => {
    const next = starts[at + 1] ?? Infinity;
    const last = Math.max(...times.filter((time) => time >= start && time < next));
    return [start, last + of.gapMs];
  });
}

function inOrder(results: readonly Result[]): Result[] {
  const text = (result: Result): string => JSON.stringify(result);
  return results.map(reduced).toSorted((a, b) => (text(a) < text(b) ? -1 : 1));
}

/** Which element a sum began with is nobody's concern. */
function reduced(result: Result): Result {
  const { value } = result;
  const isVisit = typeof value === 'object' && value !== null && 'size' in value;
  return isVisit ? { ...result, value: (value as Visit).size } : result;
}

describe('an aggregate in windows', () => {
  test('ends as going through all elements says, whatever their order within the grace', () => {
    fc.assert(
      fc.property(elements(GRACE_MS), cases, (given, options) => {
        const { finals, late } = outcomeOf(given, options);
        assert.deepEqual(finals, expectedOf(given, options));
        assert.equal(late, 0);
      }),
      { numRuns: 500 },
    );
  });

  test('was last updated to what it ends as', () => {
    fc.assert(
      fc.property(elements(GRACE_MS), cases, (given, options) => {
        const { updates, finals } = outcomeOf(given, { ...options, withUpdates: true });
        const last = new Map<string, Result>();
        for (const update of updates) {
          const { key, startMs, endMs, value } = update;
          const window = [key, startMs, endMs].join(' ');
          if (value === null) assert.ok(last.delete(window), 'only what was told is taken back');
          else last.set(window, update);
        }
        assert.deepEqual(inOrder([...last.values()]), finals);
      }),
      { numRuns: 300 },
    );
  });

  test('has every element that did not come too late', () => {
    fc.assert(
      fc.property(elements(500), cases, (given, options) => {
        const { finals, late, lateIds } = outcomeOf(given, { ...options, aggregate: 'aggregate' });
        const all = finals.flatMap(({ value }) => value as number[]);
        const ids = new Set(all);
        assert.equal(ids.size + lateIds.length, given.length);
        assert.equal(late, lateIds.length);
        assert.ok(lateIds.every((id) => !ids.has(id)));
        if (options.window.type !== 'hopping') assert.equal(all.length, ids.size);
      }),
      { numRuns: 300 },
    );
  });

  test('is the same from panes as window by window, also for what comes late', () => {
    const hops = hopping({ sizeMs: 60, advanceMs: 20, graceMs: GRACE_MS });
    fc.assert(
      fc.property(elements(300), cases, (given, options) => {
        const ofPanes = { ...options, window: hops, withMerge: true, withUpdates: false };
        const plain = outcomeOf(given, { ...ofPanes, withUpdates: true });
        assert.deepEqual(outcomeOf(given, ofPanes), { ...plain, updates: [] });
      }),
      { numRuns: 300 },
    );
  });
});

describe('sessions', () => {
  const gap = session({ gapMs: 10, graceMs: 100 });
  const visit = (driver: TopologyTestDriver, atMs: number): void =>
    driver.insert(byId, { id: atMs, key: 1, size: 1 }, { atMs });

  function sessionDriver(): TopologyTestDriver {
    return new TopologyTestDriver(
      topology('test', {}, ({ created }) => {
        const counts = created(byId)
          .groupBy(({ key }) => key)
          .windowedBy(gap)
          .count();
        const key = (_: unknown, { startMs, endMs }: Windowed<number>) => `${startMs}-${endMs}`;
        counts.updates().to('updates', { key });
        counts.final().to('final', { key });
      }),
    );
  }
  const told = (driver: TopologyTestDriver, topic: string) =>
    driver.read(topic).map(({ key, value }) => [key, value]);

  test('become one by an element between them, and tell what they were no more', () => {
    const driver = sessionDriver();
    visit(driver, 100);
    visit(driver, 112);
    assert.deepEqual(told(driver, 'updates'), [
      ['100-110', 1],
      ['112-122', 1],
    ]);
    visit(driver, 105);
    assert.deepEqual(told(driver, 'updates'), [
      ['100-110', null],
      ['112-122', null],
      ['100-122', 3],
    ]);
    visit(driver, 107);
    assert.deepEqual(told(driver, 'updates'), [['100-122', 4]]);
    driver.advanceTime(221);
    assert.deepEqual(told(driver, 'final'), []);
    driver.advanceTime(222);
    assert.deepEqual(told(driver, 'final'), [['100-122', 4]]);
  });

  test('do not meet where they are the gap apart', () => {
    const driver = sessionDriver();
    visit(driver, 110);
    visit(driver, 100);
    driver.advanceTime(FAR_MS);
    assert.deepEqual(told(driver, 'final'), [
      ['100-110', 1],
      ['110-120', 1],
    ]);
  });

  test('need to know how two become one', () => {
    assert.throws(
      () =>
        topology('test', {}, ({ created }) => {
          const sessions = created(byId).groupByKey().windowedBy(gap);
          sessions.aggregate(
            () => 0,
            (sum, { size }) => sum + size,
          );
        }),
      /merge/,
    );
  });
});
