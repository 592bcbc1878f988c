import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyedUnion } from './keyed-union.ts';

test('a union has every key once, in order, with the value of the first sequence', async () => {
  const keys = fc.uniqueArray(fc.stringMatching(/^[a-d:]{1,3}$/), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(keys, keys, async (left, right) => {
      const entries = left.toSorted().map((key) => ({ key, value: `value of ${key}` }));
      const union = await Array.fromAsync(keyedUnion(each(entries), each(right.toSorted())));
      assert.deepEqual(
        union,
        [...new Set([...left, ...right])]
          .toSorted()
          .map((key) => ({ key, value: left.includes(key) ? `value of ${key}` : undefined })),
      );
    }),
  );
});

async function* each<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items;
}
