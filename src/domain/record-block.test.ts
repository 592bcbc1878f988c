import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlockWriter, countOf, decodeBlock, type LogRecord } from './record-block.ts';

const bytes = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null });
const record = fc.record({
  timestampMs: fc.integer({ min: 0, max: 4e12 }),
  key: bytes,
  value: bytes,
  headers: fc.array(fc.tuple(fc.string({ maxLength: 9 }), fc.string({ maxLength: 9 })), {
    maxLength: 3,
  }),
});

test('records survive a round trip through a block', () => {
  fc.assert(
    fc.property(fc.array(record), (records) => {
      const writer = new BlockWriter(16);
      for (const each of records) writer.add(each);
      const block = writer.take('t', 0);
      assert.equal(block.count, records.length);
      assert.equal(countOf(block.bytes), records.length);
      assert.deepEqual(
        decodeBlock(block.bytes, 7).map(plain),
        records.map((each, index) => plain({ ...each, offset: 7 + index })),
      );
    }),
  );
});

test('records before `from` are skipped', () => {
  const writer = new BlockWriter();
  for (const key of ['a', 'b', 'c'])
    writer.add({ timestampMs: 0, key: Buffer.from(key), value: null, headers: [] });
  const { bytes: block } = writer.take('t', 0);
  assert.deepEqual(
    decodeBlock(block, 10, 12).map((each) => each.offset),
    [12],
  );
});

test('a writer is empty after it gave its block away', () => {
  const writer = new BlockWriter();
  writer.add({ timestampMs: 0, key: null, value: Buffer.from('x'), headers: [] });
  const first = writer.take('t', 0);
  writer.add({ timestampMs: 0, key: null, value: Buffer.from('y'), headers: [] });
  const second = writer.take('t', 0);
  assert.deepEqual(
    [first, second].map(({ bytes: each }) => String(decodeBlock(each, 0)[0]?.value)),
    ['x', 'y'],
  );
});

function plain(each: LogRecord): unknown {
  return {
    ...each,
    key: each.key && [...each.key],
    value: each.value && [...each.value],
    headers: each.headers.map((header) => [...header]),
  };
}
