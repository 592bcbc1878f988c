import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Lsn } from '../../domain/lsn.ts';
import { formatPosition, type Position } from '../../domain/position.ts';
import { copiesLeftIn } from './copies-left.ts';

const STREAMING: Position = { systemId: '1', timeline: 1, slot: 's', end: 7n as Lsn };
const COPYING: Position = { ...STREAMING, copy: [{ oid: 1, schema: 'public', name: 'a b' }] };

/** A log in which one position after the other is found. */
function logOf(...positions: readonly (Position | undefined)[]) {
  const left = [...positions];
  return {
    positionOf: async (producer: string) => {
      assert.equal(producer, 'capture/shop');
      const position = left.shift();
      return position && formatPosition(position);
    },
  };
}

describe('what is left to be copied', () => {
  test('is in the position of the native connector, by topic', async () => {
    const copiesLeft = copiesLeftIn(logOf(COPYING, STREAMING), 'shop', 'dbserver1', 0);
    assert.deepEqual(await copiesLeft(), new Set(['dbserver1.public.a_b']));
    assert.deepEqual(await copiesLeft(), new Set());
  });

  test('is all before the slot is created, and unknown where no connector was yet', async () => {
    const created = { ...STREAMING, end: undefined };
    const copiesLeft = copiesLeftIn(logOf(undefined, created), 'shop', 'dbserver1', 0);
    assert.equal(await copiesLeft(), undefined);
    assert.equal(await copiesLeft(), 'all');
  });

  test('stays for a while where records can be read later than the position', async () => {
    const copiesLeft = copiesLeftIn(logOf(COPYING, STREAMING), 'shop', 'dbserver1', 60_000);
    await copiesLeft();
    assert.deepEqual(await copiesLeft(), new Set(['dbserver1.public.a_b']));
  });
});
