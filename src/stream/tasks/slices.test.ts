import assert from 'node:assert/strict';
import { test } from 'node:test';
import { slicesOf } from './slices.ts';

const record = (bytes: number, offset = 0) => ({
  offset,
  timestampMs: 0,
  key: null,
  value: Buffer.alloc(bytes),
  headers: [],
});
const sizes = (bytes: number[], maxRecords: number, maxBytes: number) =>
  [
    ...slicesOf(
      bytes.map((each) => record(each)),
      { maxRecords, maxBytes },
    ),
  ].map((slice) => slice.map(({ value }) => value?.length));

test('a batch is cut where either bound is reached', () => {
  assert.deepEqual(sizes([1, 1, 1, 1, 1], 2, 100), [[1, 1], [1, 1], [1]]);
  assert.deepEqual(sizes([4, 4, 4, 2], 9, 8), [
    [4, 4],
    [4, 2],
  ]);
  assert.deepEqual(sizes([], 2, 8), []);
});

test('a record larger than the bound stands alone', () => {
  assert.deepEqual(sizes([1, 50, 1], 9, 8), [[1], [50], [1]]);
});
