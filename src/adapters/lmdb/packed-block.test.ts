import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockWriter, type RecordBlock } from '../../domain/record-block.ts';
import { pack, unpack } from './packed-block.ts';

const block = (records: number): RecordBlock => {
  const writer = new BlockWriter();
  for (let n = 0; n < records; n += 1)
    writer.add({
      timestampMs: n,
      key: null,
      value: Buffer.from(`{"a":"value ${n}"}`),
      headers: [],
    });
  return writer.take('t', 0);
};

test('a small block is stored as it is', async () => {
  const small = block(3);
  const [packed] = await pack([small]);
  assert.deepEqual(packed, { ...small, latestMs: 2 });
});

test('a large block is stored compressed, and comes back as it was', async () => {
  const large = block(10_000);
  const [packed] = await pack([large]);
  assert.ok(packed !== undefined && packed.bytes.length < large.bytes.length / 3);
  assert.ok(unpack(Buffer.from(packed.bytes)).equals(large.bytes));
  assert.equal(packed.latestMs, 9999);
});
