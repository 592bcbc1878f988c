import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseLsn } from '../domain/lsn.ts';
import { parsePosition, type Position } from '../domain/position.ts';
import type { Producer } from '../ports/event-log.ts';
import { LogAppender } from './log-appender.ts';
import { RecordBatch } from './record-batch.ts';

const at = (n: number) => parseLsn(`0/${n.toString(16)}`);

/** An appender over a producer whose appends end when the test says so. */
function prepare(append?: Producer['append']) {
  const batch = new RecordBatch([]);
  const underWay: { position: string; count: number; end: () => void }[] = [];
  const durable: Position[] = [];
  const failures: unknown[] = [];
  let end = 0;
  const producer: Producer = {
    position: undefined,
    append:
      append ??
      ((blocks, position = '') => {
        const { promise, resolve } = Promise.withResolvers<void>();
        const count = blocks.reduce((sum, block) => sum + block.count, 0);
        underWay.push({ position, count, end: resolve });
        return promise;
      }),
    close: async () => undefined,
  };
  const appender = new LogAppender({
    producer,
    batch,
    maxBytes: 100,
    positionNow: () => ({ systemId: '7', timeline: 1, slot: 's', end: at(end) }),
    onDurable: (position) => durable.push(position),
    onFailure: (error) => failures.push(error),
  });
  const encode = (bytes = 10) => {
    end += 1;
    const [writer] = batch.writers('t', 1);
    writer?.add({ timestampMs: 0, key: null, value: Buffer.alloc(bytes), headers: [] });
  };
  return { appender, underWay, durable, failures, encode };
}

describe('LogAppender', () => {
  test('has stored what there is now once the append after the one under way has ended, however much more comes', async () => {
    const { appender, underWay, durable, encode } = prepare();
    encode();
    appender.kick();
    encode();
    let isStored = false;
    const stored = appender.stored().then(() => (isStored = true));
    underWay[0]?.end();
    while (underWay.length < 2) await Promise.resolve();
    encode(); // a stream that never rests
    assert.equal(isStored, false);
    underWay[1]?.end();
    await stored;
    assert.deepEqual(
      durable.map(({ end }) => end),
      [at(1), at(2)],
    );
    while (underWay.length < 3) await Promise.resolve();
    underWay[2]?.end();
    await appender.stop();
  });

  test('fills the next batch while one is appended, each with the position of its last record', async () => {
    const { appender, underWay, durable, encode } = prepare();
    encode();
    appender.kick();
    encode();
    encode();
    appender.kick();
    assert.deepEqual(
      underWay.map(({ count }) => count),
      [1],
    );
    const drained = appender.drain();
    underWay[0]?.end();
    while (underWay.length < 2) await Promise.resolve();
    underWay[1]?.end();
    await drained;
    assert.deepEqual(
      underWay.map(({ count }) => count),
      [1, 2],
    );
    assert.deepEqual(
      durable.map(({ end }) => end),
      [at(1), at(3)],
    );
    assert.deepEqual(parsePosition(underWay[1]?.position ?? '').end, at(3));
  });

  test('makes the encoder wait only when the batch is full', async () => {
    const { appender, underWay, encode } = prepare();
    encode();
    await appender.room();
    encode(200);
    let hasRoom = false;
    const room = appender.room().then(() => {
      hasRoom = true;
    });
    assert.equal(hasRoom, false);
    underWay[0]?.end();
    await room;
  });

  for (const [how, append] of [
    ['rejects', () => Promise.reject(new Error('disk full'))],
    [
      'throws',
      () => {
        throw new Error('disk full');
      },
    ],
  ] as const)
    test(`appends nothing more once an append ${how}`, async () => {
      let appends = 0;
      const { appender, durable, failures, encode } = prepare(() => {
        appends += 1;
        return append();
      });
      encode();
      appender.kick();
      encode(200);
      await assert.rejects(appender.room(), /disk full/);
      await assert.rejects(appender.drain(), /disk full/);
      appender.kick();
      await appender.stop();
      assert.deepEqual(
        { appends, durable, failures: failures.length },
        { appends: 1, durable: [], failures: 1 },
      );
    });

  test('begins nothing once it was stopped, and waits for what is under way', async () => {
    const { appender, underWay, durable, encode } = prepare();
    encode();
    appender.kick();
    encode();
    const stopped = appender.stop();
    underWay[0]?.end();
    await stopped;
    assert.equal(underWay.length, 1);
    assert.equal(durable.length, 1);
  });
});
