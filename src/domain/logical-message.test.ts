import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage } from './logical-message.ts';

const record = (value: unknown) => Buffer.from(JSON.stringify(value));
const EVENT = {
  op: 'm',
  ts_ms: 2,
  source: { ts_ms: 1, txId: 7, lsn: 9 },
  message: { prefix: 'p', content: '-_8=' },
};

test('reads what a connector writes, in base64 of either alphabet', () => {
  const expected = { prefix: 'p', content: Buffer.from([0xfb, 0xff]), txId: 7, lsn: 9, atMs: 1 };
  assert.deepEqual(decodeMessage(record(EVENT)), expected);
  const usual = { ...EVENT, message: { prefix: 'p', content: '+/8=' } };
  assert.deepEqual(decodeMessage(record(usual)), expected);
});

test('refuses what is no logical message', () => {
  for (const value of [null, 7, {}, { ...EVENT, op: 'c' }, { ...EVENT, message: null }])
    assert.throws(() => decodeMessage(record(value)), SyntaxError);
});
