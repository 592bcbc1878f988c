import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type Code,
  crashes,
  fresh,
  isCurrent,
  newWorld,
  outcomeOf,
  prepare,
  rebuildsThrough,
  request,
  served,
  some,
  startCode,
  sums,
  sumsDoubled,
  topologyOf,
  totalsOf,
} from '../../../test/generations.ts';
import {
  append,
  command,
  contents,
  headersOf,
  INPUT,
  order,
  OUTPUT,
} from '../../../test/stream.ts';
import { LmdbEventLog } from '../../adapters/lmdb/event-log.ts';
import { LmdbStore } from '../../adapters/lmdb/store.ts';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { Bell } from '../../lib/bell.ts';
import { must } from '../../lib/must.ts';

describe('a processor that is rebuilt', () => {
  test('comes to what a run over all records comes to; readers see old values or new ones', async () => {
    const world = await newWorld();
    await append(world.log, some(50));
    {
      await using running = startCode(world, totalsOf(1));
      await running.idle();
    }
    const old = await served(world.store);
    const expected = await fresh(world, totalsOf(2), 1);
    const generation = await request(world);
    const seen = new Set<string>();
    {
      await using running = startCode(world, totalsOf(2));
      await running.until(async () => {
        for (const key of new Set([...Object.keys(old), ...Object.keys(expected.served)])) {
          const value = JSON.stringify(await world.store.get(key, 0));
          const allowed = [old[key], expected.served[key]].map((each) => JSON.stringify(each));
          assert.ok(allowed.includes(value), `${key} was ${value}`);
          seen.add(`${key} ${allowed.indexOf(value)}`);
        }
        return isCurrent(world, generation);
      });
      await running.idle();
    }
    assert.deepEqual(await outcomeOf(world), expected);
    assert.ok(seen.has('total:1 0') && seen.has('total:0 0'));
    const rest = await world.store.tasks();
    assert.deepEqual(rest, ['orders/generation', `orders~${generation}/${INPUT}-0`]);
  });

  test('goes on where it is, and puts out again under the same ids', async () => {
    const world = await newWorld();
    await using running = startCode(world, totalsOf(1));
    await append(world.log, some(20));
    await running.idle();
    const generation = await request(world);
    for (let at = 0; !(await isCurrent(world, generation)); at += 1) {
      await append(world.log, [order(at % 5, '1')]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await append(world.log, some(5));
    await running.idle();
    assert.deepEqual(await outcomeOf(world), await fresh(world, totalsOf(1), 1));
    const { end } = await world.log.offsets({ topic: INPUT, partition: 0 });
    assert.deepEqual(await world.store.get('count', 0), { type: 'string', value: String(end) });
    const records = await Promise.all([0, 1, 2].map((each) => contents(world.log, OUTPUT, each)));
    const ids = records.flat().map((record) => headersOf(record)['millrace.id'] ?? '');
    assert.equal(new Set(ids).size, end);
    assert.ok(ids.length >= 40);
    const { records: worked } = await running.runner.status();
    assert.ok(worked >= end + 20);
  });

  test('begins where it is asked to', async () => {
    const world = await newWorld(2);
    await append(world.log, some(40, 2));
    await using running = startCode(world, totalsOf(1));
    await running.idle();
    const { end } = await world.log.offsets({ topic: INPUT, partition: 0 });
    const generation = await request(world, { [`${INPUT}-0`]: end - 3 });
    await running.until(() => isCurrent(world, generation));
    await running.idle();
    const { end: other } = await world.log.offsets({ topic: INPUT, partition: 1 });
    const value = String(3 + other);
    assert.deepEqual(await world.store.get('count', 0), { type: 'string', value });
  });

  test('stays as it is while it is held', async () => {
    const world = await newWorld();
    await append(world.log, some(9));
    await using running = startCode(world, totalsOf(1));
    await running.idle();
    const hold = { processor: 'orders', hold: 'h' };
    await command(world.log, { do: 'hold', ...hold, at: {}, leaseMs: 60_000 });
    await running.until(async () => (await running.runner.status()).hold);
    const generation = await request(world);
    await running.until(async () => (await running.runner.status()).rebuild);
    await command(world.log, { do: 'release', ...hold });
    await running.until(() => isCurrent(world, generation));
  });

  test('is rebuilt again by a second wish, whatever became of the first', async () => {
    const world = await newWorld();
    await append(world.log, some(30));
    await using running = startCode(world, totalsOf(1));
    const first = await request(world);
    const second = await request(world);
    assert.ok(second > first);
    await running.until(() => isCurrent(world, second));
    await running.idle();
    assert.deepEqual(await outcomeOf(world), await fresh(world, totalsOf(1), 1));
  });

  test('is rebuilt by two workers', async () => {
    const world = await newWorld(2);
    await append(world.log, some(60, 2));
    await using one = startCode(world, totalsOf(1));
    await using two = startCode(world, totalsOf(1));
    await Promise.all([one, two].map(({ idle }) => idle()));
    const generation = await request(world);
    await one.until(() => isCurrent(world, generation));
    await append(world.log, some(20, 2));
    await Promise.all([one, two].map(({ idle }) => idle()));
    assert.deepEqual(await outcomeOf(world), await fresh(world, totalsOf(1), 2));
  });
});

for (const partitions of [1, 2]) {
  test(`a changed topology of ${partitions} partitions is refused, then rebuilt`, async () => {
    const [before, after] = [topologyOf(sums, partitions), topologyOf(sumsDoubled, partitions)];
    const world = await newWorld(partitions);
    await prepare(world, partitions, [before]);
    await append(world.log, some(30, partitions));
    {
      await using running = startCode(world, before);
      await running.idle();
    }
    const old = await served(world.store);
    await prepare(world, partitions, [after]);
    const refused = startCode(world, after);
    await assert.rejects(refused.ended, { code: 'topology_changed' });
    const { state, problem } = await refused.runner.status();
    assert.equal(state, 'failed');
    assert.match(problem ?? '', /topology/);
    assert.deepEqual(await served(world.store), old);

    const generation = await request(world);
    await using running = startCode(world, after);
    await running.until(() => isCurrent(world, generation));
    await append(world.log, some(10, partitions));
    await running.idle();
    assert.deepEqual(await outcomeOf(world), await fresh(world, after, partitions));
  });
}

describe('killed at any instant, and again, it comes to the same', () => {
  const codes = (partitions: number): readonly (readonly [Code, Code])[] => [
    [totalsOf(1), totalsOf(2)],
    [topologyOf(sums, partitions), topologyOf(sumsDoubled, partitions)],
  ];
  for (const at of [0, 1]) {
    test(`in memory, ${at === 0 ? 'code' : 'a topology'}`, async () => {
      await fc.assert(
        fc.asyncProperty(crashes, fc.integer({ min: 1, max: 2 }), async (schedule, partitions) => {
          const world = { log: new MemoryEventLog(), store: new MemoryStore() };
          await rebuildsThrough(
            world,
            must(codes(partitions)[at], 'there are two'),
            schedule,
            partitions,
          );
        }),
        { numRuns: 25, endOnFailure: true },
      );
    });
  }

  test('with the embedded log and store', async () => {
    await fc.assert(
      fc.asyncProperty(crashes, async (schedule) => {
        const dir = await mkdtemp(join(tmpdir(), 'millrace-rebuild-'));
        await using stack = new AsyncDisposableStack();
        stack.defer(() => rm(dir, { recursive: true }));
        const retention = { ms: 3_600_000, bytes: 1 << 30 };
        const wake = Bell.memory();
        const log = stack.use(await LmdbEventLog.open({ dir: join(dir, 'log'), wake, retention }));
        const store = stack.use(await LmdbStore.open({ dir: join(dir, 'store') }));
        await rebuildsThrough({ log, store }, [totalsOf(1), totalsOf(2)], schedule, 2);
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });
});
