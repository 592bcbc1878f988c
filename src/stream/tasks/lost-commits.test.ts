import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import { EVERYTHING, type Loss, LossyStore } from '../../../test/lossy-store.ts';
import {
  append,
  command,
  createTopics,
  eventually,
  type Given,
  INPUT,
  isTakenIn,
  letters,
  newLog,
  order,
  outputs,
  parkedCount,
  servedNumber,
  start,
  totals,
  values,
} from '../../../test/stream.ts';

const PARTITIONS = 2;
const LIMITS = { maxRecords: 3, maxBytes: 1_000_000, cacheEntries: 4 };
const TASK = `orders/${INPUT}-0`;
/** So often an idle task looks after its store. */
const VERIFY_MS = 5000;

const losses = fc.array(
  fc.record({
    call: fc.integer({ min: 0, max: 80 }),
    writes: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(EVERYTHING)),
  }),
  { minLength: 1, maxLength: 3 },
);

const given = fc.array(
  fc
    .tuple(
      fc.integer({ min: 0, max: 4 }),
      fc.constantFrom('1', '2.5', '-3', 'bad'),
      fc.integer({ min: 0, max: PARTITIONS - 1 }),
    )
    .map(([id, amount, partition]) => order(id, amount, partition)),
  { minLength: 1, maxLength: 40 },
);

describe('a store that loses its last commits, or all of them', () => {
  test('ends as one that lost nothing, and each record was put out once', async () => {
    await fc.assert(
      fc.asyncProperty(given, losses, async (records, schedule) => {
        const expected = await outcomeOf(records, []);
        assert.deepEqual(await outcomeOf(records, schedule), expected);
      }),
      { numRuns: 80 },
    );
  });

  test('loses nothing that operators replayed; only that may be put out again', async () => {
    await fc.assert(
      fc.asyncProperty(given, losses, async (records, schedule) => {
        const expected = await outcomeOf(records, [], 'replayed');
        const found = await outcomeOf(records, schedule, 'replayed');
        assert.deepEqual([found.served, found.totals], [expected.served, expected.totals]);
        const wasParked = new Set(found.letters.map((id) => id.replace('dead-letter', '0')));
        assert.deepEqual(new Set(found.letters), new Set(expected.letters));
        const ids = idsOf(found.outputs);
        assert.deepEqual(new Set(ids), new Set(idsOf(expected.outputs)));
        const again = ids.filter((id, at) => ids.indexOf(id) < at);
        const others = again.filter((id) => !wasParked.has(id));
        assert.deepEqual(others, []);
      }),
      { numRuns: 80 },
    );
  });
});

describe('a task with nothing to commit', () => {
  test('notices that the store lost everything, and works through the log again', async () => {
    const store = new LossyStore();
    await using running = start({ log: await newLog(), store: store.asSeen() });
    await append(running.log, [order(1, '1'), order(1, '2')]);
    await running.idle();
    store.lose(EVERYTHING);
    await eventually(async () => {
      running.clock.turn(VERIFY_MS);
      return (await servedNumber(store.asSeen(), 'sum')) === 3 || undefined;
    });
    await running.idle();
    const all = await Promise.all([0, 1, 2].map((each) => values(running.log, 'totals', each)));
    assert.deepEqual(all.flat(), ['c 1', 'c 2']);
  });

  test('does so while an operator holds it, up to where it is held', async () => {
    const store = new LossyStore();
    await using running = start({ log: await newLog(), store: store.asSeen() });
    await append(running.log, [order(1, '1'), order(1, '2')]);
    await running.idle();
    await command(running.log, {
      do: 'hold',
      processor: 'orders',
      hold: 'h',
      at: { [`${INPUT}-0`]: 2 },
      leaseMs: 1e9,
    });
    await running.status(({ hold }) => hold === 'h');
    await append(running.log, [order(1, '4')]);
    store.lose(EVERYTHING);
    await eventually(async () => {
      running.clock.turn(VERIFY_MS);
      return (await servedNumber(store.asSeen(), 'sum')) === 3 || undefined;
    });
    await running.status(({ hold }) => hold === 'h');
    assert.deepEqual(await store.asSeen().offsets(TASK), { [`${INPUT}-0`]: 2 });
  });

  test('does not wait for room that lost records took', async () => {
    const store = new LossyStore();
    const log = await newLog();
    // 4 KB a record, more of them than may wait.
    const records = Array.from({ length: 6_000 }, () => order(1, '1'.padStart(4096, '0')));
    await append(log, records);
    let isStuck = true;
    const openProducer = log.openProducer.bind(log);
    log.openProducer = async (name) => {
      const producer = await openProducer(name);
      if (name !== TASK) return producer;
      const isFree = () => eventually(async () => !isStuck || undefined);
      return {
        position: undefined,
        append: (blocks, position) => isFree().then(() => producer.append(blocks, position)),
        close: () => producer.close(),
      };
    };
    const limits = { maxRecords: 200 };
    await using running = start({ log, store: store.asSeen(), limits });
    await running.status(({ records: taken }) => taken > 4_000);
    store.lose(EVERYTHING);
    isStuck = false;
    await eventually(async () => {
      running.clock.turn(VERIFY_MS);
      return (await servedNumber(store.asSeen(), 'sum')) === records.length || undefined;
    });
  });
});

describe('where the log no longer reaches back', () => {
  test('a task that has no offset begins at what is left, after asking for a copy once', async () => {
    const log = await newLog(PARTITIONS);
    await append(log, [order(1, '1', 0), order(1, '2', 0), order(2, '4', 1)]);
    withoutFirst(log, 1);
    const asked: string[] = [];
    const store = new MemoryStore();
    const onMissingHistory = async (topic: string): Promise<void> => {
      assert.deepEqual(await store.tasks(), [], 'nothing is committed before');
      asked.push(topic);
      await append(log, [order(1, '8', 0)]);
    };
    await using running = start({ log, store, onMissingHistory });
    await running.idle();
    assert.deepEqual(asked, [INPUT]);
    assert.equal(await servedNumber(store, 'sum'), 14);
    await running.stop();
    await using again = start({ log, store, onMissingHistory });
    await again.idle();
    assert.deepEqual(asked, [INPUT]);
  });

  test('it is asked again when the first asking failed', async () => {
    const log = await newLog();
    await append(log, [order(1, '1'), order(1, '2')]);
    withoutFirst(log, 1);
    let tries = 0;
    const onMissingHistory = async (): Promise<void> => {
      if (tries++ === 0) throw new Error('no connector');
    };
    const parts = { log, store: new MemoryStore(), onMissingHistory };
    await assert.rejects(start(parts).ended, /no connector/);
    await using running = start(parts);
    await running.idle();
    assert.equal(tries, 2);
  });

  test('a task that waits for it to be asked ends when told', async () => {
    const log = await newLog();
    await append(log, [order(1, '1'), order(1, '2')]);
    withoutFirst(log, 1);
    let isAsked = false;
    const onMissingHistory = (_: string, signal: AbortSignal): Promise<void> => {
      isAsked = true;
      return new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(new Error('aborted'))),
      );
    };
    const running = start({ log, onMissingHistory });
    await eventually(async () => isAsked || undefined);
    await running.stop();
    assert.deepEqual(await running.store.tasks(), []);
  });

  test('nothing is asked where the log holds all', async () => {
    const log = await newLog();
    await append(log, [order(1, '1')]);
    const onMissingHistory = () => assert.fail();
    await using running = start({ log, onMissingHistory });
    await running.idle();
  });
});

/** All that can be seen of what became of the records. */
async function outcomeOf(
  records: readonly Given[],
  schedule: readonly Loss[],
  parked?: 'replayed',
) {
  const log = new MemoryEventLog();
  await createTopics(log, PARTITIONS);
  const store = new LossyStore(schedule);
  const seen = store.asSeen();
  const cured = new Set<string>();
  await using running = start({
    log,
    store: seen,
    processor: totals(cured),
    limits: LIMITS,
  });
  const half = records.length / 2;
  for (const part of [records.slice(0, half), records.slice(half)]) {
    await append(log, part);
    await settled(running.clock, log, seen);
  }
  store.lose(schedule[0]?.writes ?? 0);
  await settled(running.clock, log, seen);
  if (parked === 'replayed') {
    cured.add('bad');
    store.lose(schedule[1]?.writes ?? 0);
    for (let look = 0; (await parkedCount(seen)) > 0; look += 1) {
      await command(log, { do: 'dlq-replay-all', processor: 'orders' });
      await settled(running.clock, log, seen);
      if (look === 1) store.lose(schedule[0]?.writes ?? 0);
    }
  }
  // Reading what became of it calls the store too.
  store.loseNoMore();
  await settled(running.clock, log, seen);
  return {
    letters: await letters(log),
    served: await Promise.all(['count', 'sum'].map((key) => servedNumber(seen, key))),
    totals: await Promise.all(
      [0, 1].map(async (partition) => {
        const entries = await Array.fromAsync(seen.range(`orders/${INPUT}-${partition}`, ''));
        return entries.filter(([id]) => !id.startsWith('\u0000'));
      }),
    ),
    outputs: await Promise.all([0, 1, 2].map((partition) => outputs(log, partition))),
  };
}

function idsOf(all: readonly Partial<Record<string, { id: string }[]>>[]): string[] {
  return all
    .flatMap((each) => Object.values(each))
    .flatMap((each) => (each ?? []).map(({ id }) => id));
}

/** Waits until all is taken in, also after the tasks have looked after their store. */
async function settled(
  clock: { turn(ms: number): void },
  log: EventLog,
  store: Store,
): Promise<void> {
  for (let times = 0; times < 2; times += 1) {
    clock.turn(VERIFY_MS);
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    await eventually(async () => {
      clock.turn(VERIFY_MS);
      return (await isTakenIn({ log, store }, PARTITIONS)) || undefined;
    });
  }
}

/** A log of which retention has removed the first records of the input's first partition. */
function withoutFirst(log: MemoryEventLog, records: number): void {
  const offsets = log.offsets.bind(log);
  log.offsets = async (of) => {
    const { end } = await offsets(of);
    return { start: of.topic === INPUT && of.partition === 0 ? records : 0, end };
  };
}
