import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Lsn } from '../../domain/lsn.ts';
import { StatusReporter } from './wal-stream-status.ts';

const at = (n: number) => BigInt(n) as Lsn;

/** A reporter, and what it sent: d, length 4, r, written 8, flushed 8, applied 8, clock 8, reply 1. */
const reporting = () => {
  const sent: string[] = [];
  const reporter = new StatusReporter((message) => {
    assert.equal(message.length, 39);
    assert.equal(message.readInt32BE(1), 38);
    const [written, flushed, applied] = [6, 14, 22].map((i) => message.readBigUInt64BE(i));
    assert.ok(written === flushed && flushed === applied);
    sent.push(`${flushed}${message[38] === 1 ? '?' : ''}`);
  });
  return { reporter, sent };
};

describe('StatusReporter', () => {
  test('tells the first confirmation at once, and then only the newest after a pause', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { reporter, sent } = reporting();
    for (const n of [1, 2, 3]) reporter.confirm(at(n));
    assert.deepEqual(sent, ['1']);
    t.mock.timers.tick(99);
    assert.deepEqual(sent, ['1']);
    t.mock.timers.tick(1);
    assert.deepEqual(sent, ['1', '3']);
    t.mock.timers.tick(1000);
    assert.deepEqual(sent, ['1', '3']);
  });

  test('never goes back', () => {
    const { reporter, sent } = reporting();
    reporter.confirm(at(5));
    reporter.confirm(at(4));
    reporter.end();
    assert.deepEqual(sent, ['5']);
  });

  test('answers the server at once, with what is confirmed and no more', () => {
    const { reporter, sent } = reporting();
    reporter.report();
    reporter.confirm(at(7));
    reporter.report(true);
    reporter.end();
    assert.deepEqual(sent, ['0', '7?']);
  });

  test('tells the last confirmation when it ends, and nothing after', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { reporter, sent } = reporting();
    reporter.confirm(at(1));
    reporter.confirm(at(2));
    reporter.end();
    reporter.confirm(at(3));
    reporter.report();
    t.mock.timers.tick(1000);
    assert.deepEqual(sent, ['1', '2']);
  });
});
