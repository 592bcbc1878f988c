import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TransactionSnapshot } from './transaction-snapshot.ts';

test('a snapshot sees what committed before it, and not what was running', () => {
  const snapshot = new TransactionSnapshot('10:20:12,15');
  assert.deepEqual(
    [9, 11, 12, 15, 19, 20, 30].map((xid) => snapshot.sees(xid)),
    [true, true, false, false, true, false, false],
  );
});

test('ids are compared over the wrap of their lower 32 bits', () => {
  const justWrapped = new TransactionSnapshot(`${2 ** 32 + 3}:${2 ** 32 + 5}:${2 ** 32 + 3}`);
  assert.deepEqual(
    [2 ** 32 - 1, 2, 3, 4, 5].map((xid) => justWrapped.sees(xid)),
    [true, true, false, true, false],
  );
});
