import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TransactionSnapshot } from '../domain/transaction-snapshot.ts';
import { TouchedKeys } from './touched-keys.ts';

const TABLE = 1;
/** Sees all below `xmax` but those that run. */
const seeing = (xmax: number, ...running: number[]) =>
  new TransactionSnapshot(`${Math.min(xmax, ...running)}:${xmax}:${running.join(',')}`);

describe('TouchedKeys', () => {
  test('holds a row back only from a snapshot that does not see its change', () => {
    const touched = new TouchedKeys();
    touched.touch(TABLE, 'a', 10);
    assert.equal(touched.isNewer(TABLE, 'a', seeing(10)), true);
    assert.equal(touched.isNewer(TABLE, 'a', seeing(12, 10)), true);
    assert.equal(touched.isNewer(TABLE, 'a', seeing(11)), false);
    assert.equal(touched.isNewer(TABLE, 'b', seeing(10)), false);
    assert.equal(touched.isNewer(2, 'a', seeing(10)), false);
  });

  test('holds every row back when the table was truncated', () => {
    const touched = new TouchedKeys();
    touched.touch(TABLE, undefined, 10);
    assert.equal(touched.isNewer(TABLE, 'a', seeing(10)), true);
    assert.equal(touched.isNewer(TABLE, 'a', seeing(11)), false);
  });

  test('keeps nothing that the last snapshot sees, however much the stream lags behind it', () => {
    const touched = new TouchedKeys();
    touched.touch(TABLE, 'before', 10);
    touched.touch(TABLE, 'running', 11);
    touched.advance(seeing(20, 11));
    for (let n = 0; n < 1000; n += 1) touched.touch(TABLE, `streamed ${n}`, 12);
    assert.equal(touched.count, 1);
    assert.equal(touched.isNewer(TABLE, 'running', seeing(20, 11)), true);
  });

  test('has rows read again rather than hold too many keys', () => {
    const touched = new TouchedKeys(100);
    touched.touch(TABLE, 'early', 10);
    for (let n = 0; n < 1000; n += 1) touched.touch(TABLE, `large ${n}`, 11);
    assert.ok(touched.count <= 100);
    assert.equal(touched.isForgotten(TABLE, seeing(10)), true);
    assert.equal(touched.isForgotten(TABLE, seeing(12, 10)), true);
    assert.equal(touched.isForgotten(2, seeing(10)), false);
    touched.advance(seeing(12));
    assert.equal(touched.isForgotten(TABLE, seeing(12)), false);
  });
});
