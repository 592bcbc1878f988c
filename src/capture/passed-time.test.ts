import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Lsn } from '../domain/lsn.ts';
import { PassedTime } from './passed-time.ts';

const at = (lsn: number) => BigInt(lsn) as Lsn;

describe('PassedTime', () => {
  test('passes once the log holds all that was written when nothing ran', () => {
    const time = new PassedTime();
    assert.equal(time.passedMs(at(100)), undefined);
    time.looked({ atMs: 1000, ids: [] }, at(200));
    assert.equal(time.passedMs(at(199)), undefined);
    assert.equal(time.passedMs(at(200)), 1000);
  });

  test('waits for what ran, and for the log to hold what was written when it ended', () => {
    const time = new PassedTime();
    time.looked({ atMs: 1000, ids: ['7', '8'] }, at(200));
    time.looked({ atMs: 2000, ids: ['8', '9'] }, at(300));
    assert.equal(time.passedMs(at(300)), undefined);
    time.looked({ atMs: 3000, ids: ['9'] }, at(400));
    assert.equal(time.passedMs(at(399)), undefined);
    assert.equal(time.passedMs(at(400)), 1000);
    time.looked({ atMs: 4000, ids: [] }, at(500));
    assert.equal(time.passedMs(at(500)), 4000);
  });

  test('does not wait for a transaction that stays open', () => {
    const time = new PassedTime();
    time.looked({ atMs: 1000, ids: ['7'] }, at(200));
    time.looked({ atMs: 10_999, ids: ['7'] }, at(300));
    assert.equal(time.passedMs(at(300)), undefined);
    time.looked({ atMs: 11_000, ids: ['7'] }, at(400));
    assert.equal(time.passedMs(at(400)), 1000);
  });

  test('never goes back, and wants no more looks than it can use', () => {
    const time = new PassedTime();
    for (let second = 1; time.wantsLook; second += 1)
      time.looked({ atMs: second * 1000, ids: [] }, at(second));
    assert.equal(time.passedMs(at(5)), 5000);
    assert.ok(time.wantsLook);
    assert.equal(time.passedMs(at(1)), 5000);
  });
});
