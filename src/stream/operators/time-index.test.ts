import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TimeIndex } from './time-index.ts';

type Step = Readonly<{ does: 'add' | 'remove' | 'take'; dueMs: number; key: string }>;

const step: fc.Arbitrary<Step> = fc.record({
  does: fc.constantFrom('add', 'add', 'remove', 'take'),
  dueMs: fc.integer({ min: 0, max: 20 }),
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
});

test('gives what is due by time and key, whatever came and went before', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const index = new TimeIndex();
      const listed = new Set<string>();
      const dueAt = (watermarkMs: number): string[] =>
        [...listed].filter((each) => each <= `${text(watermarkMs)}~`).toSorted();
      for (const { does, dueMs, key } of steps) {
        if (does === 'add') {
          index.add(dueMs, key);
          listed.add(text(dueMs) + key);
        } else if (does === 'remove') {
          index.remove(dueMs, key);
          listed.delete(text(dueMs) + key);
        } else {
          const due = dueAt(dueMs);
          const keys = due.map((each) => each.slice(-1));
          assert.deepEqual(index.due(dueMs, 1), keys.slice(0, 1));
          assert.deepEqual(index.due(dueMs, 3), keys.slice(0, 3));
          const first = [...listed].toSorted()[0];
          assert.equal(index.nextMs(), first === undefined ? undefined : Number(first.slice(0, 3)));
        }
      }
    }),
    { numRuns: 300 },
  );
});

const text = (dueMs: number): string => String(dueMs).padStart(3, '0');
