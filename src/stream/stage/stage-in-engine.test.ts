import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { defineTable } from '../../domain/table.ts';
import {
  append,
  contents,
  DEAD,
  eventually,
  headersOf,
  INPUT,
  newLog,
  order,
  OUTPUT,
  servedNumber,
  start,
  values,
} from '../../../test/stream.ts';
import { compile } from '../topology/compile.ts';
import { type Sources, topology } from '../topology/topology.ts';
import { hopping, tumbling } from '../topology/windows.ts';
import { tickTopic } from './topology-subject.ts';

type Order = Readonly<{ id: number; amount: string }>;
const orders = defineTable<{ id: number }, Order>({ topic: INPUT, key: ['id'] });

async function prepared(build: (sources: Sources) => void, partitions = 1, version = '1') {
  const log = await newLog(partitions);
  const compiled = compile(topology('orders', { version }, build), () => partitions);
  const ticks = { name: tickTopic('orders'), partitions: 1, cleanup: 'delete' } as const;
  const declared = compiled.declares.filter(({ name }) => name !== OUTPUT);
  await log.createTopics([...declared, ticks]);
  return { log, processor: compiled };
}

/** Commit times are 1000 + id. */
function perSecond({ created }: Sources): void {
  created(orders)
    .groupBy(({ amount }) => amount)
    .windowedBy(tumbling({ sizeMs: 1000 }))
    .count({ name: 'perSecond' })
    .final()
    .map((count, { key, startMs }) => `${key} ${startMs} ${count}`)
    .to(OUTPUT, { key: () => null });
}

for (const partitions of [1, 2]) {
  describe(`a topology over ${partitions} partitions`, () => {
    test('writes each closed window once, over restarts', async () => {
      const { log, processor } = await prepared(perSecond, partitions);
      const store = new MemoryStore();
      for (const id of [1, 5, 900, 1002, 1500, 2500, 3700]) {
        await append(log, [order(id, 'a', 0), order(id, 'b', partitions - 1)]);
        await using running = start({ log, store, processor });
        await running.idle();
      }
      const all = await Promise.all([0, 1, 2].map((each) => values(log, OUTPUT, each)));
      const expected = ['a', 'b'].flatMap((key) => [
        `"${key} 1000 3"`,
        `"${key} 2000 2"`,
        `"${key} 3000 1"`,
      ]);
      assert.deepEqual(all.flat().toSorted(), expected);
    });
  });
}

test('an idle source closes windows once all of it has come through', async () => {
  const { log, processor } = await prepared(perSecond);
  let passedMs = 1500;
  await using running = start({ log, processor, progress: async () => passedMs });
  await append(log, [order(1, 'a')]);
  await running.idle();
  running.clock.turn(1000);
  assert.deepEqual(await values(log, OUTPUT, 0), []);
  passedMs = 2000;
  await eventually(async () => {
    running.clock.turn(1000);
    const all = await Promise.all([0, 1, 2].map((each) => values(log, OUTPUT, each)));
    return all.flat().length === 1 || undefined;
  });
  assert.equal((await contents(log, tickTopic('orders'))).length, 1);
});

test('an idle partition holds nothing up, while another never comes to rest', async () => {
  const { log, processor } = await prepared(perSecond, 2);
  let id = 500;
  const write = () => append(log, [order((id += 10), 'b', 0)]);
  const offsets = log.offsets.bind(log);
  log.offsets = async (of) => {
    if (of.topic === INPUT && of.partition === 0) await write();
    return offsets(of);
  };
  const progress = async (): Promise<number> => {
    await write();
    return 1000 + id;
  };
  await using running = start({ log, processor, progress });
  await append(log, [order(1, 'a', 1)]);
  await eventually(async () => {
    running.clock.turn(1000);
    const all = await Promise.all([0, 1, 2].map((each) => values(log, OUTPUT, each)));
    return all.flat().some((value) => value.startsWith('"a 1000')) || undefined;
  });
});

test('a function that throws parks its record, and names its operator', async () => {
  const { log, processor } = await prepared(({ created }) => {
    created(orders)
      .map(({ amount }) => {
        if (amount === 'bad') throw new RangeError('a bad amount');
        return Number(amount);
      })
      .selectKey(() => 'all')
      .groupByKey()
      .reduce((a, b) => a + b, { name: 'sum' })
      .serve({ prefix: 'sum-of-' });
  });
  await using running = start({ log, processor });
  await append(log, [order(1, '1'), order(2, 'bad'), order(3, '2'), order(2, '4')]);
  await running.idle();
  assert.equal(await servedNumber(running.store, 'sum-of-all'), 3);
  assert.equal((await running.status(() => true)).parked, 2);
  const [letter] = await contents(log, DEAD);
  assert.equal(headersOf(letter)['millrace.step'], 'map-2');
});

test('state of another topology is refused', async () => {
  const store = new MemoryStore();
  const first = await prepared(perSecond);
  {
    await using running = start({ ...first, store });
    await append(first.log, [order(1, '1')]);
    await running.idle();
  }
  const processor = compile(topology('orders', { version: '2' }, perSecond), () => 1);
  await assert.rejects(start({ log: first.log, store, processor }).ended, {
    code: 'topology_changed',
  });
});

test('a fresh copy is asked for where rows are kept, and not where facts are read', async () => {
  const wants = async (build: (sources: Sources) => void): Promise<readonly string[]> => {
    const { log, processor } = await prepared(build);
    await append(log, [order(1, '1'), order(2, '2')]);
    const offsets = log.offsets.bind(log);
    log.offsets = async (of) => ({
      ...(await offsets(of)),
      ...(of.topic === INPUT && { start: 1 }),
    });
    const asked: string[] = [];
    const onMissingHistory = async (topic: string): Promise<void> => void asked.push(topic);
    await using running = start({ log, processor, onMissingHistory });
    await running.idle();
    return asked;
  };
  assert.deepEqual(await wants(perSecond), []);
  const rows = ({ table }: Sources) => table(orders).serve({ prefix: 'orders:' });
  assert.deepEqual(await wants(rows), [INPUT]);
});

test('a late element is counted once, also where its way needs state to be fetched', async () => {
  const { log, processor } = await prepared(({ created }) => {
    const counts = created(orders)
      .groupBy(({ amount }) => amount)
      .windowedBy(tumbling({ sizeMs: 1000 }))
      .count();
    counts.late().groupByKey().count({ name: 'lateOnes' }).serve({ prefix: 'late-' });
  });
  const store = new MemoryStore();
  for (const late of [1, 2]) {
    await using running = start({ log, store, processor });
    await append(log, [order(5000, 'a'), order(1, 'a')]);
    await running.idle();
    assert.equal((await running.status(() => true)).late, 1);
    assert.equal(await servedNumber(store, 'late-a'), late);
  }
});

test('a window that can not be put out is told in the dead letters, and holds nothing up', async () => {
  const { log, processor } = await prepared(({ created }) => {
    created(orders)
      .groupBy(({ amount }) => amount)
      .windowedBy(hopping({ sizeMs: 2000, advanceMs: 1000 }))
      .count()
      .final()
      .map((count, { key, startMs }) => {
        if (key === 'bad' && startMs === 1000) throw new RangeError('a bad window');
        return `${key} ${startMs} ${count}`;
      })
      .to(OUTPUT, { key: () => null });
  });
  await using running = start({ log, processor });
  await append(log, [order(1, 'bad'), order(2, 'a'), order(1500, 'bad'), order(9000, 'a')]);
  await running.idle();
  const all = await Promise.all([0, 1, 2].map((each) => values(log, OUTPUT, each)));
  assert.deepEqual(all.flat().toSorted(), ['"a 0 1"', '"a 1000 1"', '"bad 0 1"', '"bad 2000 1"']);
  const [letter, ...others] = await contents(log, DEAD);
  assert.deepEqual(others, []);
  assert.equal(headersOf(letter)['millrace.step'], 'map-2');
  assert.match(String(letter?.value), /"startMs":1000,"endMs":3000,"parts":\[1,1\]/);
});
