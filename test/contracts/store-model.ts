import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MillraceError } from '../../src/domain/errors.ts';
import { MemoryStore } from '../../src/adapters/memory/store.ts';
import type { Commit, ServedWrite, Store } from '../../src/ports/store.ts';

const KEYS = ['', 'a', 'a:', 'a:1', 'a:😀', 'a:\uffee', 'b'];
const TASKS = ['p/t-0', 'p/t-01'];
/** An hour ahead, as in the contract: a server that expires keys by its own clock holds them still. */
const NOW = Date.now() + 3_600_000;

const record = <T>(parts: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record<T>(parts, { noNullPrototype: true });
const key = fc.constantFrom(...KEYS);
const task = fc.constantFrom(...TASKS);
const value = fc.string({ maxLength: 8 });

const servedWrite: fc.Arbitrary<ServedWrite> = fc.oneof(
  record({ op: fc.constant('put' as const), key, value }),
  record({
    op: fc.constant('put' as const),
    key,
    value,
    expiresAtMs: fc.integer({ min: NOW - 5, max: NOW + 5 }),
  }),
  record({ op: fc.constant('delete' as const), key }),
  record({ op: fc.constant('add' as const), key, amount: fc.constantFrom('1', '-0.5', '1e3') }),
  record({ op: fc.constant('setAdd' as const), key, member: key }),
  record({ op: fc.constant('setRemove' as const), key, member: key }),
);

const chunk = fc.uint8Array({ maxLength: 8 });

type Step =
  | Readonly<{ do: 'commit'; isStale: boolean; commit: Omit<Commit, 'from'> }>
  | Readonly<{ do: 'forwarded'; task: string; at: number; ahead: number }>
  | Readonly<{ do: 'dropTask'; task: string }>
  | Readonly<{ do: 'sweep'; nowMs: number }>;

const commit = record({
  task,
  to: fc.dictionary(fc.constantFrom('x', 'y'), fc.nat(9), { noNullPrototype: true }),
  state: fc.array(fc.tuple(key, fc.option(value, { nil: undefined })), { maxLength: 4 }),
  served: fc.array(servedWrite, { maxLength: 4 }),
  outgoing: fc.array(chunk, { maxLength: 2 }),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: record({
      do: fc.constant('commit' as const),
      isStale: fc.nat(9).map((n) => n === 9),
      commit,
    }),
  },
  record({
    do: fc.constant('forwarded' as const),
    task,
    at: fc.nat(2),
    ahead: fc.constantFrom(0, 0, 0, 1),
  }),
  record({ do: fc.constant('dropTask' as const), task }),
  record({ do: fc.constant('sweep' as const), nowMs: fc.integer({ min: NOW - 5, max: NOW + 5 }) }),
);

/** Holds a store against the plain one; `open` gives an empty store, which the test disposes of. */
export function storeModel(name: string, open: () => Promise<Store>): void {
  test(`${name} does what MemoryStore does, whatever is asked of it`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        await using store = await open();
        const model = new MemoryStore();
        for (const each of steps) {
          assert.deepEqual(await outcome(each, store), await outcome(each, model));
          assert.deepEqual(await contents(store), await contents(model));
        }
      }),
      { numRuns: 100 },
    );
  });
}

async function outcome(each: Step, store: Store): Promise<unknown> {
  try {
    return await take(each, store);
  } catch (error) {
    if (error instanceof MillraceError) return { code: error.code, facts: error.facts };
    throw error;
  }
}

async function take(each: Step, store: Store): Promise<unknown> {
  switch (each.do) {
    case 'commit': {
      const from = each.isStale ? { stale: 1 } : await store.offsets(each.commit.task);
      return store.commit({ ...each.commit, from });
    }
    case 'forwarded': {
      const found = (await store.outgoing(each.task, Infinity))[each.at];
      if (found === undefined) return undefined;
      // Where it is not the chunk of this number, nothing goes.
      return store.forwarded(each.task, { ...found, sequence: found.sequence + each.ahead });
    }
    case 'dropTask':
      return store.dropTask(each.task);
    case 'sweep':
      return store.sweep(each.nowMs);
  }
}

/** All that a reader can see. */
async function contents(store: Store): Promise<unknown> {
  const ofTask = async (name: string) => ({
    offsets: await store.offsets(name),
    values: await store.getMany(name, KEYS),
    ranges: await Promise.all(
      KEYS.flatMap((prefix) =>
        [{}, { reverse: true }, { limit: 1 }, { limit: 2, reverse: true }].map((options) =>
          Array.fromAsync(store.range(name, prefix, options)),
        ),
      ),
    ),
    outgoing: await Promise.all(
      [0, 8, Infinity].map(async (maxBytes) =>
        (await store.outgoing(name, maxBytes)).map((each) => [each.sequence, ...each.chunk]),
      ),
    ),
  });
  return {
    names: await store.tasks(),
    tasks: await Promise.all(TASKS.map(ofTask)),
    served: await Promise.all(
      KEYS.flatMap((each) => [NOW - 2, NOW, NOW + 2].map((nowMs) => store.get(each, nowMs))),
    ),
    keys: await Promise.all(
      KEYS.flatMap((prefix) =>
        [{}, { limit: 2 }, { after: 'a:' }].map((options) =>
          Array.fromAsync(store.keys(prefix, NOW, options)),
        ),
      ),
    ),
  };
}
