import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { MillraceError, remedyFor } from '../../domain/errors.ts';
import { murmur2 } from '../../lib/murmur2.ts';
import type { Processor } from '../processor.ts';
import {
  append,
  change,
  contents,
  eventually,
  headersOf,
  INPUT,
  newLog,
  order,
  OUTPUT,
  start,
  textOf,
  totals,
  values,
} from '../../../test/stream.ts';

const TASK = 'orders/shop.orders-0';

describe('TaskRunner', () => {
  test('takes each record into account once, and goes on where it stopped', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    await append(log, [order(1, '2'), order(2, '3')]);
    const first = start({ log, store });
    await first.idle();
    await first.stop();
    await append(log, [order(1, '5')]);
    await using second = start({ log, store });
    await second.idle();
    assert.deepEqual(await store.getMany(TASK, ['1', '2']), ['7', '3']);
    assert.deepEqual(await store.offsets(TASK), { 'shop.orders-0': 3 });
    assert.deepEqual(await store.get('count', 0), { type: 'string', value: '3' });
  });

  test('processes and commits a record at once while the log is quiet', async () => {
    await using running = start({ log: await newLog() });
    await running.status(({ state }) => state === 'running');
    for (const id of [1, 2, 3]) {
      await append(running.log, [order(id, '1')]);
      await running.idle();
      assert.deepEqual(await running.store.getMany(TASK, [String(id)]), ['1']);
    }
  });

  test('does nothing while idle', async () => {
    const store = new MemoryStore();
    await using running = start({ log: await newLog(), store });
    await append(running.log, [order(1, '1')]);
    await running.idle();
    let calls = 0;
    for (const name of ['commit', 'getMany', 'outgoing', 'offsets', 'forwarded'] as const) {
      const original = store[name].bind(store) as (...args: unknown[]) => unknown;
      Object.assign(store, { [name]: (...args: unknown[]) => (calls++, original(...args)) });
    }
    await turns(200);
    assert.equal(calls, 0);
  });

  test('skips tombstones, whose offsets count', async () => {
    await using running = start({ log: await newLog() });
    await append(running.log, [order(1, '1'), { key: { id: 1 }, value: null }]);
    await running.idle();
    assert.deepEqual(await running.store.offsets(TASK), { 'shop.orders-0': 2 });
    assert.deepEqual(await running.store.get('count', 0), { type: 'string', value: '1' });
  });

  test('gives a processor that returns promises its changes in order', async () => {
    await using running = start({ log: await newLog(), processor: totals(new Set(), true) });
    await append(
      running.log,
      Array.from({ length: 30 }, (_, index) => order(index % 3, '1')),
    );
    await running.idle();
    assert.deepEqual(await running.store.getMany(TASK, ['0', '1', '2']), ['10', '10', '10']);
  });

  test('runs a task for each partition of each topic', async () => {
    await using running = start({ log: await newLog(3) });
    await append(
      running.log,
      [0, 1, 2].map((partition) => order(partition, '1', partition)),
    );
    await running.idle();
    const { tasks, records } = await running.runner.status();
    assert.deepEqual(
      tasks.map(({ task }) => task),
      [0, 1, 2].map((partition) => `orders/${INPUT}-${partition}`),
    );
    assert.equal(records, 3);
  });

  test('commits within its bounds of records and bytes', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    await append(
      log,
      Array.from({ length: 25 }, (_, index) => order(index, '1')),
    );
    const steps = offsetsCommitted(store);
    await using running = start({
      log,
      store,
      limits: { maxRecords: 10, maxBytes: 1_000_000, cacheEntries: 100 },
    });
    await running.idle();
    assert.deepEqual(steps, [10, 20, 25]);
  });

  test('processes the next batch over writes whose commit is under way', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    await append(
      log,
      Array.from({ length: 40 }, () => order(1, '1')),
    );
    const commit = store.commit.bind(store);
    store.commit = async (each) => {
      await turns(3);
      await commit(each);
    };
    await using running = start({
      log,
      store,
      limits: { maxRecords: 4, maxBytes: 1_000_000, cacheEntries: 2 },
    });
    await running.idle();
    assert.deepEqual(await store.getMany(TASK, ['1']), ['40']);
  });

  test('shows no lag where only the end of a transaction comes while a commit is under way', async () => {
    const log = await newLog(1, { markers: true });
    const read = log.read.bind(log);
    log.read = async function* (...from) {
      for await (const { records, next } of read(...from)) {
        const last = records.at(-1);
        if (last !== undefined) yield { records, next: last.offset + 1 };
        yield { records: [], next };
      }
    };
    const store = new MemoryStore();
    const commit = store.commit.bind(store);
    store.commit = async (each) => {
      await turns(5);
      await commit(each);
    };
    await using running = start({ log, store });
    await append(log, [order(1, '1')]);
    await running.idle();
    assert.deepEqual(await store.offsets(TASK), { 'shop.orders-0': 1 });
  });

  test('lets a range see what the task wrote, committed or not, and not what the runner keeps', async () => {
    const log = await newLog();
    const seen: string[] = [];
    const processor: Processor = {
      ...totals(),
      process: async ({ key, after }, { state }) => {
        if (after?.['amount'] === 'bad') throw new Error('bad');
        state.set(`k${String(key?.['id'])}`, 'here');
        const keys: string[] = [];
        for await (const [name] of state.range('')) keys.push(name);
        seen.push(keys.join(' '));
      },
    };
    await append(log, [order(2, '1'), order(9, 'bad'), order(1, '1')]);
    await using running = start({ log, processor });
    await running.idle();
    await append(log, [order(3, '1')]);
    await running.idle();
    assert.deepEqual(seen, ['k2', 'k1 k2', 'k1 k2 k3']);
  });

  test('refuses a processor the keys that the runner keeps', async () => {
    await using running = start({
      log: await newLog(),
      processor: { ...totals(), process: (_, { state }) => state.set('\u0000mine', '1') },
    });
    await append(running.log, [order(1, '1')]);
    await running.idle();
    assert.equal((await running.runner.status()).parked, 1);
  });

  test('puts records out by key, with the time of their cause and an id', async () => {
    await using running = start({ log: await newLog() });
    await append(running.log, [order(1, '5')]);
    await running.idle();
    const partition = (murmur2(Buffer.from('1')) & 0x7fffffff) % 3;
    const [record] = await contents(running.log, OUTPUT, partition);
    assert.equal(textOf(record?.value ?? null), 'c 5');
    assert.equal(record?.timestampMs, 1_001);
    assert.equal(headersOf(record)['millrace.id'], `${TASK}:0:0`);
  });

  test('fails when records it has not read are gone, skipping nothing', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    const to = { 'shop.orders-0': 5 };
    await store.commit({ task: TASK, from: {}, to, state: [], served: [], outgoing: [] });
    const running = start({ log, store });
    await assert.rejects(running.ended, { code: 'offset_out_of_range' });
    const { state, problem } = await running.runner.status();
    assert.equal(state, 'failed');
    assert.match(problem ?? '', /offset_out_of_range/);
  });

  test('fails when a topic that the processor writes to is missing', async () => {
    const log = await newLog();
    await append(log, [order(1, '1')]);
    const running = start({
      log,
      processor: {
        ...totals(),
        process: (_, context) => context.forward({ topic: 'nowhere', key: null, value: 'x' }),
      },
    });
    await assert.rejects(running.ended, { code: 'topic_missing' });
    assert.deepEqual(await running.store.offsets(TASK), {});
  });
});

describe('a task whose commit conflicts', () => {
  test('rewinds when the store is behind', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    await using running = start({ log, store });
    await append(log, [order(1, '1'), order(1, '1')]);
    await running.idle();
    // As after a power cut: the store has lost all that this task committed.
    await store.dropTask(TASK);
    await append(log, [order(1, '1')]);
    await eventually(async () => (await store.offsets(TASK))['shop.orders-0'] === 3 || undefined);
    assert.deepEqual(await store.getMany(TASK, ['1']), ['3']);
  });

  test('goes on where another has come to, doing nothing twice', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    await using running = start({ log, store });
    await append(log, [order(1, '1')]);
    await running.idle();
    await store.commit({
      task: TASK,
      from: { 'shop.orders-0': 1 },
      to: { 'shop.orders-0': 2 },
      state: [['1', '100']],
      served: [],
      outgoing: [],
    });
    await append(log, [order(1, '7'), order(1, '1')]);
    await eventually(async () => (await store.offsets(TASK))['shop.orders-0'] === 3 || undefined);
    assert.deepEqual(await store.getMany(TASK, ['1']), ['101']);
  });

  test('fails when it conflicts again and again at the same offset', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    store.commit = () => Promise.reject(new MillraceError('commit_conflict', {}));
    await append(log, [order(1, '1')]);
    const running = start({ log, store });
    await assert.rejects(running.ended, { code: 'commit_conflict' });
  });
});

test('a worker whose task another has taken over is not stopped for good', async () => {
  const log = await newLog();
  const store = new MemoryStore();
  const cutOff = start({ log, store });
  await append(log, [order(1, '1')]);
  await cutOff.idle();
  await log.openProducer(TASK);
  await append(log, [order(2, '2')]);
  const failure: unknown = await cutOff.ended.catch((error: unknown) => error);
  assert.equal(failure instanceof MillraceError && failure.code, 'task_taken_over');
  assert.equal(remedyFor(failure).retry, 'auto');
  await using again = start({ log, store });
  await again.idle();
  assert.deepEqual(
    (await Promise.all([0, 1, 2].map((partition) => values(log, OUTPUT, partition))))
      .flat()
      .toSorted(),
    ['c 1', 'c 2'],
  );
});

test('a task that waits for records hears at once that its commit failed', async () => {
  const log = await newLog();
  const store = new MemoryStore();
  store.commit = async () => {
    await turns(20);
    throw new MillraceError('disk_full');
  };
  await append(log, [order(1, '1')]);
  await assert.rejects(start({ log, store }).ended, { code: 'disk_full' });
});

test('records of one partition keep their order in the output', async () => {
  await using running = start({ log: await newLog() });
  const amounts = Array.from({ length: 50 }, (_, index) => String(index));
  await append(
    running.log,
    amounts.map((amount) => change('u', 4, { id: 4, amount })),
  );
  await running.idle();
  const partition = (murmur2(Buffer.from('4')) & 0x7fffffff) % 3;
  assert.deepEqual(
    await values(running.log, OUTPUT, partition),
    amounts.map((amount) => `u ${amount}`),
  );
});

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Notes the offset of each commit. */
function offsetsCommitted(store: MemoryStore): number[] {
  const offsets: number[] = [];
  const commit = store.commit.bind(store);
  store.commit = async (each) => {
    await commit(each);
    offsets.push(each.to['shop.orders-0'] ?? -1);
  };
  return offsets;
}
