import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { defineTable } from '../../domain/table.ts';
import type { Store } from '../../ports/store.ts';
import type { Crash } from '../../../test/mortal.ts';
import { contents, textOf } from '../../../test/stream.ts';
import {
  appendChanges,
  createTopicsOf,
  type GivenChange,
  runThrough,
} from '../../../test/topology-runs.ts';
import { compile } from '../topology/compile.ts';
import { type Sources, topology } from '../topology/topology.ts';

type Customer = Readonly<{ id: number; state: string; age: number; note: string }>;
const customers = defineTable<{ id: number }, Customer>({ topic: 'customers', key: ['id'] });
const PREFIX = 'per-state:';
/** As Debezium sends an unchanged large value. */
const UNAVAILABLE = '__debezium_unavailable_value';

type Step = Readonly<{
  does: 'write' | 'write-without-before' | 'move-key' | 'delete' | 'copy' | 'truncate';
  id: number;
  toId: number;
  state: string;
  age: number;
}>;

const step: fc.Arbitrary<Step> = fc.record({
  does: fc.oneof(
    { weight: 5, arbitrary: fc.constant('write' as const) },
    { weight: 2, arbitrary: fc.constant('write-without-before' as const) },
    { weight: 2, arbitrary: fc.constant('move-key' as const) },
    { weight: 2, arbitrary: fc.constant('delete' as const) },
    { weight: 2, arbitrary: fc.constant('copy' as const) },
    { weight: 1, arbitrary: fc.constant('truncate' as const) },
  ),
  id: fc.integer({ min: 0, max: 5 }),
  toId: fc.integer({ min: 0, max: 5 }),
  state: fc.constantFrom('CA', 'NY', 'TX'),
  age: fc.integer({ min: 1, max: 9 }),
});

/** What the source wrote, and the rows at its end. */
function historyOf(steps: readonly Step[]): { changes: GivenChange[]; rows: Customer[] } {
  const rows = new Map<number, Customer>();
  const changes: GivenChange[] = [];
  const put = (op: GivenChange['op'], rest: Partial<GivenChange>): void => {
    changes.push({ table: customers as never, op, atMs: 1000 + changes.length, ...rest });
  };
  for (const { does, id, toId, state, age } of steps) {
    const before = rows.get(id);
    const after = { id, state, age, note: before?.note ?? `note of ${id}` };
    switch (does) {
      case 'write':
        put(before === undefined ? 'c' : 'u', { before, after });
        rows.set(id, after);
        break;
      case 'write-without-before':
        if (before === undefined) break;
        put('u', { after: { ...after, note: UNAVAILABLE } });
        rows.set(id, after);
        break;
      case 'move-key':
        if (before === undefined || rows.has(toId)) break;
        put('d', { before });
        put('c', { after: { ...after, id: toId } });
        rows.delete(id);
        rows.set(toId, { ...after, id: toId });
        break;
      case 'delete':
        if (before === undefined) break;
        put('d', { before });
        rows.delete(id);
        break;
      case 'copy':
        if (before !== undefined) put('r', { after: before });
        break;
      case 'truncate':
        put('t', {});
        rows.clear();
    }
  }
  return { changes, rows: [...rows.values()] };
}

type PerState = Readonly<{ count: number; ages: number; notes: readonly string[] }>;

function build({ table }: Sources): void {
  const perState = table(customers)
    .filter(({ age }) => age > 1)
    .groupBy(({ state }) => state)
    .aggregate<PerState>(
      () => ({ count: 0, ages: 0, notes: [] }),
      ({ count, ages, notes }, { age, note }) => ({
        count: count + 1,
        ages: ages + age,
        notes: [...notes, note].toSorted(),
      }),
      ({ count, ages, notes }, { age, note }) => ({
        count: count - 1,
        ages: ages - age,
        notes: notes.toSpliced(notes.indexOf(note), 1),
      }),
    );
  perState.serve({ prefix: PREFIX });
  perState.to('per-state', { partitions: 2 });
}

function expectedOf(rows: readonly Customer[]): Record<string, PerState> {
  const found: Record<string, PerState> = {};
  for (const state of ['CA', 'NY', 'TX']) {
    const own = rows.filter((row) => row.state === state && row.age > 1);
    if (own.length === 0) continue;
    found[state] = {
      count: own.length,
      ages: own.reduce((sum, { age }) => sum + age, 0),
      notes: own.map(({ note }) => note).toSorted(),
    };
  }
  return found;
}

async function servedIn(store: Store): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for await (const key of store.keys(PREFIX, 0)) {
    const value = await store.get(key, 0);
    if (value?.type === 'string') found[key.slice(PREFIX.length)] = JSON.parse(value.value);
  }
  return found;
}

/** The last record of each key, as one reads a topic that is a table. */
async function writtenTo(log: MemoryEventLog): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const partition of [0, 1]) {
    for (const { key, value } of await contents(log, 'per-state', partition)) {
      if (value === null) delete found[textOf(key)];
      else found[textOf(key)] = JSON.parse(textOf(value));
    }
  }
  return found;
}

const crashes: fc.Arbitrary<readonly Crash[]> = fc.array(
  fc.record({
    call: fc.integer({ min: 0, max: 100 }),
    when: fc.constantFrom('before' as const, 'after' as const),
  }),
  { maxLength: 4 },
);

describe('an aggregate of a table', () => {
  test('is that of the rows there are, served and written, whatever was done to them', async () => {
    const steps = fc.array(step, { maxLength: 40 });
    const partitions = fc.integer({ min: 1, max: 3 });
    await fc.assert(
      fc.asyncProperty(steps, partitions, crashes, async (done, count, schedule) => {
        const { changes, rows } = historyOf(done);
        const log = new MemoryEventLog();
        const store = new MemoryStore();
        const processor = compile(topology('orders', {}, build), () => count);
        await createTopicsOf(log, processor, [customers.topic], count);
        await appendChanges(log, changes, count);
        await runThrough({ log, store }, { processor, partitions: count, crashes: schedule });
        const expected = expectedOf(rows);
        assert.deepEqual(await servedIn(store), expected);
        assert.deepEqual(await writtenTo(log), expected);
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });
});
