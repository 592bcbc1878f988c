import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeChange } from './envelope.ts';

const decoded = (key: string | null, after: string, before = 'null') =>
  decodeChange('t', 0, {
    offset: 7,
    timestampMs: 1,
    key: key === null ? null : Buffer.from(key),
    value: Buffer.from(
      `{"before":${before},"after":${after},"source":{"schema":"public","table":"t","ts_ms":1,` +
        `"ts_ns":1763900000123456789,"txId":1,"lsn":2,"snapshot":"false"},"op":"u","ts_ms":3}`,
    ),
    headers: [],
  });

test('numbers that a double holds are numbers', () => {
  const change = decoded('{"id":9007199254740991}', '{"id":9007199254740991,"x":-2.5}');
  assert.deepEqual(change?.key, { id: Number.MAX_SAFE_INTEGER });
  assert.deepEqual(change?.after, { id: Number.MAX_SAFE_INTEGER, x: -2.5 });
});

test('whole numbers that a double would round are their digits, in key and rows', () => {
  const row = '{"id":9007199254740993,"all":[1,-9223372036854775807],"name":"a"}';
  const exact = { id: '9007199254740993', all: [1, '-9223372036854775807'], name: 'a' };
  const change = decoded('{"id":9007199254740993}', row, row);
  assert.deepEqual(change?.key, { id: '9007199254740993' });
  assert.deepEqual(change?.before, exact);
  assert.deepEqual(change?.after, exact);
  assert.ok(change !== undefined);
  assert.equal(typeof Reflect.get(change.source, 'ts_ns'), 'number');
});

test('a large floating-point number stays a number', () => {
  const change = decoded(null, '{"x":1.0E300,"y":123456789012345680.0,"id":9007199254740993}');
  assert.deepEqual(change?.after, { x: 1e300, y: 123456789012345680, id: '9007199254740993' });
});

test('what is no change event says what it lacks', () => {
  const record = { offset: 0, timestampMs: 0, key: null, headers: [] };
  assert.throws(() => decodeChange('t', 0, { ...record, value: Buffer.from('{"op":"x"}') }), {
    message: 'not a change event: no op, or no source.table',
  });
  assert.equal(decodeChange('t', 0, { ...record, value: null }), undefined);
});
