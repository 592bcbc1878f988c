import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_STORE_KEY_BYTES } from '../../domain/store-key.ts';
import { Miss, ObjectState } from './object-state.ts';

test('a key that no store takes fails the element that asks for it, and is never fetched', () => {
  const state = new ObjectState(10);
  const tooLong = 'x'.repeat(MAX_STORE_KEY_BYTES + 1);
  for (const ask of [
    () => state.want(tooLong),
    () => state.get(tooLong),
    () => state.set(tooLong, 1),
  ])
    assert.throws(ask, { code: 'store_key_too_long' });
  assert.deepEqual(state.takeWanted(), []);
  assert.throws(() => state.get(tooLong.slice(1)), Miss);
});
