import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader } from '@platformatic/kafka';
import fc from 'fast-check';
import { varintSize, writeVarint } from './varint.ts';

test('a varint is what another implementation reads, and has the size told', () => {
  const edges = [7, 14, 28, 30, 31, 32, 35, 51].flatMap((bits) => [2 ** bits, 2 ** bits - 1]);
  const number = fc.oneof(
    fc.integer({ min: -(2 ** 52), max: 2 ** 52 }),
    fc.integer({ min: -300, max: 300 }),
    fc.constantFrom(...edges, ...edges.map((edge) => -edge)),
  );
  fc.assert(
    fc.property(number, (value) => {
      const bytes = Buffer.alloc(10);
      const written = bytes.subarray(0, writeVarint(bytes, 0, value));
      assert.equal(varintSize(value), written.length);
      assert.equal(Reader.from(written).readVarInt64(), BigInt(value));
    }),
  );
});
