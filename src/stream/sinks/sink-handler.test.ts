import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { sinkContract } from '../../../test/contracts/sink.ts';
import { MemorySink } from '../../../test/memory-sink.ts';
import {
  append,
  command,
  DEAD,
  eventually,
  type Given,
  headersOf,
  INPUT,
  contents,
  isTakenIn,
  newLog,
  parkedCount,
  start,
} from '../../../test/stream.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Sink, SinkRecord } from '../../ports/sink.ts';
import type { Store } from '../../ports/store.ts';
import { customSink } from './declarations.ts';

const TASK = `orders/${INPUT}-0`;
const LIMITS = { maxRecords: 3, maxBytes: 1_000_000, cacheEntries: 4 };

const put = (id: number | null, amount: number): Given => ({
  key: id === null ? null : { id },
  value: JSON.stringify({ id, amount }),
});
const isBad = ({ value }: SinkRecord) =>
  (value as { amount: number } | null)?.amount === -1 ? 'amounts are above 0' : undefined;
const amounts = ({ taken }: MemorySink) =>
  taken.map(({ value }) => (value as { amount: number }).amount);
const isCoded = (code: string) => (error: unknown) =>
  error instanceof MillraceError && error.code === code;

const into = (sink: Sink) => ({ name: 'orders', topic: INPUT, sink });

sinkContract('MemorySink', { keepsAccount: true }, async () => {
  const sink = new MemorySink({
    refusal: ({ value }) =>
      ((value as { amount: number } | null)?.amount ?? 0) < 0 ? 'below 0' : undefined,
  });
  const rows = () => {
    const found: Record<string, number> = {};
    for (const { key, value } of sink.taken) {
      const { id } = key as { id: number };
      if (value === null) delete found[id];
      else found[id] = (value as { amount: number }).amount;
    }
    return Promise.resolve(found);
  };
  const kill = async () => {
    sink.onWrite = () => {
      throw new MillraceError('sink_unreachable');
    };
  };
  return { sink, rows, kill, secret: 'none', [Symbol.asyncDispose]: async () => {} };
});

describe('a task of a sink', () => {
  test('hands on what is in the records, in order', async () => {
    const log = await newLog();
    const sink = new MemorySink();
    await append(log, [put(1, 10), { key: { id: 2 }, value: null }, put(null, 12)]);
    await using running = start({ log, processor: into(sink) });
    await running.idle();
    assert.deepEqual(sink.taken, [
      {
        id: `${TASK}:0`,
        offset: 0,
        key: { id: 1 },
        keyText: '{"id":1}',
        value: { id: 1, amount: 10 },
        timestampMs: 7,
      },
      {
        id: `${TASK}:1`,
        offset: 1,
        key: { id: 2 },
        keyText: '{"id":2}',
        value: null,
        timestampMs: 7,
      },
      {
        id: `${TASK}:2`,
        offset: 2,
        key: null,
        keyText: null,
        value: { id: null, amount: 12 },
        timestampMs: 7,
      },
    ]);
  });

  test('parks what is refused or unreadable, with its key, until a replay', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    const sink = new MemorySink({ refusal: isBad });
    const broken = { key: { id: 3 }, value: '{' };
    await append(log, [put(1, 10), put(2, -1), put(2, 21), broken, put(3, 31), put(1, 11)]);
    await using running = start({ log, store, processor: into(sink), limits: LIMITS });
    await running.idle();
    assert.deepEqual(amounts(sink), [10, 11]);
    assert.equal(await parkedCount(store), 4);
    await append(log, [put(2, 22)]);
    await running.idle();
    const [letter] = await contents(log, DEAD);
    const headers = headersOf(letter);
    assert.equal(headers['__connect.errors.stage'], 'sink');
    assert.equal(headers['__connect.errors.exception.message'], 'amounts are above 0');

    sink.refusal = () => undefined;
    await command(log, { do: 'dlq-replay-all', processor: 'orders' });
    await running.status(({ parked }) => parked === 2);
    assert.deepEqual(amounts(sink), [10, 11, -1, 21, 22]);
    await command(log, { do: 'dlq-drop-all', processor: 'orders' });
    await running.status(({ parked }) => parked === 0);
    assert.deepEqual(amounts(sink), [10, 11, -1, 21, 22, 31]);
  });

  test('rests where it is held', async () => {
    const log = await newLog();
    const sink = new MemorySink();
    await using running = start({ log, processor: into(sink) });
    await running.status(({ state }) => state === 'running');
    await command(log, { do: 'hold', processor: 'orders', hold: 'h', at: 'now', leaseMs: 60_000 });
    await running.status(({ hold }) => hold === 'h');
    await append(log, [put(1, 10)]);
    await command(log, { do: 'release', processor: 'orders', hold: 'h' });
    await running.idle();
    assert.deepEqual(amounts(sink), [10]);
  });

  test('fails by name when the sink is away, and begins again where it was', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    const sink = new MemorySink();
    sink.onWrite = () => {
      throw new MillraceError('sink_unreachable', { address: 'there' });
    };
    await append(log, [put(1, 10)]);
    const failing = start({ log, store, processor: into(sink) });
    await assert.rejects(failing.ended, isCoded('sink_unreachable'));
    assert.equal(sink.openWriters, 0);
    sink.onWrite = () => {};
    await using running = start({ log, store, processor: into(sink) });
    await running.idle();
    assert.deepEqual(amounts(sink), [10]);
  });

  test('ends while a write takes long', async () => {
    const log = await newLog();
    const asked = Promise.withResolvers<void>();
    const sink = customSink({
      write: (_, { signal }) => {
        asked.resolve();
        return new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(new Error('told to stop'))),
        );
      },
    });
    assert.ok('open' in sink);
    await append(log, [put(1, 10)]);
    const running = start({ log, processor: into(sink) });
    await asked.promise;
    await running.stop();
  });

  test('writes once what a sink has taken before the task`s commit was lost', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    const sink = new MemorySink({ refusal: isBad });
    await append(log, [put(1, 10), put(2, -1), put(3, 30), put(2, 21)]);
    const failing = start({ log, store: crashing(store, 1, 'before'), processor: into(sink) });
    await assert.rejects(failing.ended);
    assert.deepEqual(amounts(sink), [10, 30]);
    await using running = start({ log, store, processor: into(sink) });
    await running.idle();
    assert.deepEqual(amounts(sink), [10, 30]);
    assert.equal(await parkedCount(store), 2);
  });

  test('repeats under the same ids what a sink without account may not have', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    const sink = new MemorySink({ keepsAccount: false });
    await append(log, [put(1, 10), put(2, 20)]);
    const failing = start({ log, store: crashing(store, 1, 'before'), processor: into(sink) });
    await assert.rejects(failing.ended);
    const ids = [`${TASK}:0`, `${TASK}:1`];
    for (const _ of [1, 2]) {
      const running = start({ log, store, processor: into(sink) });
      await running.idle();
      await running.stop();
      assert.deepEqual(
        sink.taken.map(({ id }) => id),
        [...ids, ...ids],
      );
    }
  });

  test('refuses a sink that was filled from another log', async () => {
    const sink = new MemorySink();
    const log = await newLog();
    await append(log, [put(1, 10), put(2, 20)]);
    const first = start({ log, processor: into(sink) });
    await first.idle();
    await first.stop();
    for (const others of [
      [put(1, 10)],
      [put(1, 10), put(2, 99)],
      [put(1, 1), put(2, 2), put(3, 3)],
    ]) {
      const other = await newLog();
      await append(other, others);
      const failing = start({ log: other, processor: into(sink) });
      await assert.rejects(failing.ended, isCoded('sink_of_other_log'));
    }
    await using again = start({ log, processor: into(sink) });
    await again.idle();
    assert.deepEqual(amounts(sink), [10, 20]);
  });

  test('writes again what a sink lacks that was put back to an older state', async () => {
    const sink = new MemorySink({ refusal: isBad });
    const store = new MemoryStore();
    const log = await newLog();
    const run = async (): Promise<void> => {
      await using running = start({ log, store, processor: into(sink) });
      await running.idle();
    };
    await append(log, [put(1, 10), put(2, -1), put(null, -1), put(1, 11)]);
    await run();
    const backup = sink.backup();
    await append(log, [put(2, 21), put(3, 30), put(4, -1)]);
    await run();
    backup.restore();
    await run();
    assert.deepEqual(amounts(sink), [10, 11, 30]);
    assert.equal(await parkedCount(store), 4);
    sink.clear();
    await run();
    assert.deepEqual(amounts(sink), [10, 11, 30]);
    assert.equal(await parkedCount(store), 4);
    sink.refusal = () => undefined;
    await using running = start({ log, store, processor: into(sink) });
    await running.idle();
    await command(log, { do: 'dlq-replay-all', processor: 'orders' });
    await running.status(({ parked }) => parked === 0);
    assert.deepEqual(amounts(sink), [10, 11, 30, -1, 21, -1, -1]);
  });

  test('takes each record once, whatever crashes and whatever the store loses', async () => {
    const given = fc.array(
      fc
        .tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom(-1, 1, 2, 3, 4, 5, 6))
        .map(([id, amount]) => put(id, amount)),
      { minLength: 1, maxLength: 30 },
    );
    const crashes = fc.array(
      fc.record({
        port: fc.constantFrom(
          'store' as const,
          'sink' as const,
          'forgotten' as const,
          'cleared' as const,
        ),
        call: fc.integer({ min: 1, max: 8 }),
        when: fc.constantFrom('before' as const, 'after' as const),
      }),
      { maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(given, crashes, async (records, schedule) => {
        const log = await newLog();
        await append(log, records);
        const sink = new MemorySink({ refusal: isBad });
        let store = new MemoryStore();
        for (const { port, call, when } of [...schedule, undefined].map((each) => each ?? NONE)) {
          if (port === 'forgotten') store = new MemoryStore();
          if (port === 'cleared') sink.clear();
          const used = port === 'store' ? crashing(store, call, when) : store;
          crashSink(sink, port === 'sink' ? call : Infinity, when);
          await untilDoneOrCrashed({ log, store: used }, sink);
        }
        assert.equal(sink.openWriters, 0);
        assert.deepEqual(
          sink.taken.map(({ offset }) => offset).toSorted((a, b) => a - b),
          offsetsTaken(records),
        );
        assert.equal(await parkedCount(store), records.length - offsetsTaken(records).length);
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });
});

const NONE = { port: 'none', call: Infinity, when: 'before' } as const;

/** Of a key, those before its first bad one. */
function offsetsTaken(records: readonly Given[]): number[] {
  const parked = new Set<string>();
  return records.flatMap(({ key, value }, offset) => {
    const text = JSON.stringify(key);
    if (String(value).includes('-1')) parked.add(text);
    return parked.has(text) ? [] : [offset];
  });
}

async function untilDoneOrCrashed(
  world: Readonly<{ log: EventLog; store: Store }>,
  sink: MemorySink,
): Promise<void> {
  const running = start({ ...world, processor: into(sink), limits: LIMITS });
  let hasCrashed = false;
  running.ended.catch(() => {
    hasCrashed = true;
  });
  const { end } = await world.log.offsets({ topic: INPUT, partition: 0 });
  const isTaken = () => sink.account(TASK)?.next === end;
  const isDone = async () => isTaken() && (await isTakenIn(world, 1));
  await eventually(async () => hasCrashed || (await isDone()) || undefined);
  await running.stop().catch(() => undefined);
}

/** Fails at the nth commit, before or after it took effect. */
function crashing(store: Store, call: number, when: 'before' | 'after'): Store {
  let commits = 0;
  const commit: Store['commit'] = async (what) => {
    commits += 1;
    if (commits !== call) return store.commit(what);
    if (when === 'after') await store.commit(what);
    throw new Error('killed');
  };
  return new Proxy(store, {
    get: (of, name) => {
      if (name === 'commit') return commit;
      const found: unknown = Reflect.get(of, name, of);
      return typeof found === 'function' ? found.bind(of) : found;
    },
  });
}

function crashSink(sink: MemorySink, call: number, when: 'before' | 'after'): void {
  let writes = 0;
  sink.onWrite = (at) => {
    if (at === 'before') writes += 1;
    if (writes === call && at === when) throw new Error('killed');
  };
}
