import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counted } from './counted.ts';

test('one is told in the singular, and anything else in the plural', () => {
  assert.deepEqual(
    [0, 1, 2, 1_234_567].map((count) => counted(count, 'row')),
    ['0 rows', '1 row', '2 rows', '1,234,567 rows'],
  );
  assert.equal(counted(2, 'process', 'processes'), '2 processes');
});
