import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  fresh,
  isCurrent,
  outcomeOf,
  prepare,
  request,
  some,
  startCode,
  sums,
  sumsDoubled,
  topologyOf,
  totalsOf,
} from '../../../test/generations.ts';
import { EVERYTHING, LossyStore } from '../../../test/lossy-store.ts';
import { append } from '../../../test/stream.ts';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { must } from '../../lib/must.ts';

/** By how often it was looked whether the rebuild has ended. */
const losses = fc.dictionary(
  fc.integer({ min: 0, max: 40 }).map(String),
  fc.constantFrom(1, 2, 5, 20, EVERYTHING),
  { maxKeys: 6 },
);

test('a rebuild whose store loses commits comes to what a run over all records comes to', async () => {
  const codes = [
    [totalsOf(1), totalsOf(2)],
    [topologyOf(sums, 2), topologyOf(sumsDoubled, 2)],
  ] as const;
  await fc.assert(
    fc.asyncProperty(losses, fc.constantFrom(0, 1), async (schedule, which) => {
      const [before, after] = must(codes[which], 'there are two');
      const lossy = new LossyStore();
      const world = { log: new MemoryEventLog(), store: lossy.asSeen() };
      await prepare(world, 2, [before, after]);
      await append(world.log, some(40, 2));
      {
        await using running = startCode(world, before);
        await running.idle();
      }
      const generation = await request(world);
      await using running = startCode(world, after);
      for (let look = 0, isDone = false; !isDone || look <= 40; look += 1) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        await running.until(async () => true);
        lossy.lose(schedule[look] ?? 0);
        isDone = (await isCurrent(world, generation)) === true;
      }
      await append(world.log, some(10, 2));
      await running.until(() => isCurrent(world, generation));
      await running.idle();
      assert.deepEqual(await outcomeOf(world), await fresh(world, after, 2));
    }),
    { numRuns: 20, endOnFailure: true },
  );
});
