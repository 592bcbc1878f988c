import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { Reader, readRecordsBatch } from '@platformatic/kafka';
import fc from 'fast-check';
import type { MillraceError } from '../../domain/errors.ts';
import { BlockWriter, type LogRecord } from '../../domain/record-block.ts';
import { type Batch, batchesOf, decodeBatch } from './record-batch-reader.ts';
import { draftBatches, recordsOf, sealBatch } from './record-batch-writer.ts';
import { SpareBuffers } from './spare-buffers.ts';

const bytes = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null });
const record = fc.record({
  // Around where a difference takes more than 28 and than 32 bits.
  timestampMs: fc.oneof(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 0, max: 2 ** 28 })),
  key: bytes,
  value: bytes,
  headers: fc.array(fc.tuple(fc.string({ maxLength: 9 }), fc.string({ maxLength: 9 })), {
    maxLength: 3,
  }),
});
const appended = fc.record({
  blocks: fc.array(fc.array(record, { minLength: 1 }), { minLength: 1, maxLength: 4 }),
  isCompressed: fc.boolean(),
  sequence: fc.nat(),
  producerId: fc.bigInt({ min: 0n, max: 2n ** 62n }),
  maxBytes: fc.integer({ min: 61, max: 4000 }),
});

const NO_KEY = { timestampMs: 1, key: null, headers: [] };
const PRODUCER = { id: 7n, epoch: 3 };

test('records survive a round trip through batches, in their order', () => {
  fc.assert(
    fc.property(appended, ({ blocks, isCompressed, maxBytes }) => {
      const sealed = sealedBatches(blocks, maxBytes, isCompressed);
      let offset = 1000;
      // Where the broker puts the first of them.
      for (const batch of sealed) offset += placed(batch, offset).count;
      const read = [...batchesOf(Buffer.concat(sealed))];
      assert.equal(read.at(-1)?.nextOffset, offset);
      assert.deepEqual(
        read.flatMap((batch) => decodeBatch(batch, 0)).map(plain),
        blocks.flat().map((each, index) => plain({ ...each, offset: 1000 + index })),
      );
    }),
  );
});

test('buffers that are used again leave nothing of what they held', () => {
  const buffers = new SpareBuffers(100_000);
  const used = new Set<ArrayBufferLike>();
  for (const letter of ['a', 'b', 'c']) {
    const value = Buffer.alloc(700, letter);
    const block = Array.from({ length: 250 }, () => ({ ...NO_KEY, value }));
    for (const draft of draftBatches([blockOf(block)], buffers)) {
      const batch = sealBatch(draft, zstdCompressSync(recordsOf(draft)), PRODUCER, 0);
      used.add(draft.bytes.buffer);
      buffers.give(draft.bytes);
      for (const read of [...batchesOf(batch)].flatMap((each) => decodeBatch(each, 0)))
        assert.deepEqual(Buffer.from(read.value ?? []), value);
    }
  }
  assert.equal(used.size, 2);
});

test('a batch reads the same to another implementation', () => {
  fc.assert(
    fc.property(appended, ({ blocks, isCompressed, sequence, producerId }) => {
      const records = blocks.flat();
      const [draft] = [...draftBatches(blocks.map(blockOf), new SpareBuffers(1_000_000))];
      assert.ok(draft);
      const compressed = isCompressed ? zstdCompressSync(recordsOf(draft)) : undefined;
      const batch = sealBatch(draft, compressed, { id: producerId, epoch: 3 }, sequence);
      const read = readRecordsBatch(Reader.from(batch));
      assert.deepEqual(
        { ...read, records: read.records.length, crc: 0, attributes: read.attributes & 0b111000 },
        {
          firstOffset: 0n,
          length: batch.length - 12,
          partitionLeaderEpoch: -1,
          magic: 2,
          crc: 0,
          attributes: 0b010000,
          lastOffsetDelta: records.length - 1,
          firstTimestamp: BigInt(records[0]?.timestampMs ?? 0),
          maxTimestamp: BigInt(Math.max(...records.map(({ timestampMs }) => timestampMs))),
          producerId,
          producerEpoch: 3,
          firstSequence: sequence,
          records: records.length,
        },
      );
      const first = Number(read.firstTimestamp);
      assert.deepEqual(
        read.records.map(({ timestampDelta, offsetDelta, key, value, headers }) =>
          plain({
            offset: offsetDelta,
            timestampMs: first + Number(timestampDelta),
            key,
            value,
            headers: headers.map(([name, text]) => [String(name), String(text)] as const),
          }),
        ),
        records.map((each, offset) => plain({ ...each, offset })),
      );
    }),
  );
});

test('a batch is as large as allowed, a record that is larger has one of its own', () => {
  const records = [100, 100, 5000, 100].map((length) => ({
    timestampMs: 0,
    key: null,
    value: new Uint8Array(length),
    headers: [],
  }));
  const batches = sealedBatches([records], 1000, false);
  assert.deepEqual(
    batches.map((batch) => [...batchesOf(batch)].map(({ nextOffset }) => nextOffset)),
    [[2], [1], [1]],
  );
});

test('reading may begin within a batch, and ends before one that is cut short', () => {
  const records = Array.from({ length: 5 }, (_, n) => ({
    timestampMs: n,
    key: null,
    value: Buffer.from(`${n}`),
    headers: [],
  }));
  const [batch] = sealedBatches([records], 1000, false);
  assert.ok(batch);
  const cut = Buffer.concat([batch, batch.subarray(0, -1)]);
  const [read, ...more] = [...batchesOf(cut)] as [Batch, ...Batch[]];
  assert.equal(more.length, 0);
  assert.deepEqual(
    decodeBatch(read, 3).map(({ offset }) => offset),
    [3, 4],
  );
});

test('a batch that is not what was stored is named', () => {
  const [batch] = sealedBatches(
    [[{ timestampMs: 0, key: null, value: Buffer.from('value'), headers: [] }]],
    1000,
    false,
  );
  assert.ok(batch);
  batch[batch.length - 2] = 0;
  assert.throws(
    () => [...batchesOf(batch)],
    (error: MillraceError) => error.code === 'log_corrupt',
  );
});

type AppendedRecord = Omit<LogRecord, 'offset'>;

function blockOf(records: readonly AppendedRecord[]): Uint8Array {
  const writer = new BlockWriter(16);
  for (const each of records) writer.add(each);
  return writer.take('t', 0).bytes;
}

function sealedBatches(
  blocks: readonly (readonly AppendedRecord[])[],
  maxBytes: number,
  isCompressed: boolean,
): Buffer[] {
  return [...draftBatches(blocks.map(blockOf), new SpareBuffers(maxBytes))].map((draft) =>
    sealBatch(draft, isCompressed ? zstdCompressSync(recordsOf(draft)) : undefined, PRODUCER, 0),
  );
}

/** The offset is not under the checksum, so that a broker can set it. */
function placed(batch: Buffer, offset: number): { count: number } {
  batch.writeBigInt64BE(BigInt(offset));
  return { count: batch.readInt32BE(57) };
}

function plain({ key, value, ...rest }: LogRecord): unknown {
  return { ...rest, key: key && [...key], value: value && [...value] };
}
