import { compressionsAlgorithmsByBitmask, crc32c } from '@platformatic/kafka';
import { MillraceError } from '../../domain/errors.ts';
import {
  type Header,
  headerSetsOf,
  type LogRecord,
  visitBlock,
} from '../../domain/record-block.ts';
import { must } from '../../lib/must.ts';

/*
 * HOT PATH. Every record that is appended or read passes through here: from an encoded block into
 * the batch that Kafka stores, and back, without an object a record on the way in.
 *
 *   batch  := baseOffset i64 | length i32 | leaderEpoch i32 | magic i8 | crc u32 | attributes i16 |
 *             lastOffsetDelta i32 | baseTimestamp i64 | maxTimestamp i64 | producerId i64 |
 *             producerEpoch i16 | baseSequence i32 | count i32 | record*
 *   record := length v | attributes i8 | timestampDelta v | offsetDelta v | keyLength v | key |
 *             valueLength v | value | headerCount v { nameLength v | name | valueLength v | value }*
 *
 * Big endian; v is a zigzag varint; the length counts from the leader epoch on, the checksum
 * (CRC-32C) covers what follows it, and the records alone are compressed. A length of -1 is null.
 * See https://kafka.apache.org/documentation/#recordbatch
 */
const HEAD = 61;
const LENGTH_AT = 8;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const COUNT_AT = 57;
const MAGIC = 2;

const COMPRESSION = 0b111;
const LOG_APPEND_TIME = 1 << 3;
const TRANSACTIONAL = 1 << 4;
const CONTROL = 1 << 5;
const ABORT = 0;

/** What a record takes at most, its key, value and headers aside. */
const RECORD_OVERHEAD = 32;

/** Who writes: goes into the head of each batch. */
export type ProducerIdentity = Readonly<{ id: bigint; epoch: number }>;

/** Records of one partition, encoded, after room for the head. */
export type DraftBatch = Readonly<{
  bytes: Buffer;
  count: number;
  baseTimestampMs: number;
  maxTimestampMs: number;
}>;

/** Encodes blocks of one partition, in their order, into batches of at most `maxBytes`; a larger record has one of its own. */
export function* draftBatches(
  blocks: readonly Uint8Array[],
  maxBytes: number,
): Generator<DraftBatch, void> {
  const writer = new RecordWriter(maxBytes);
  for (const block of blocks) {
    const drafts: DraftBatch[] = [];
    const headerSets = headerSetsOf(block).map(encodeHeaders);
    writer.expect(block.length);
    visitBlock(block, (set, timestampMs, keyStart, keyLength, valueStart, valueLength) => {
      const headers = must(headerSets[set], 'a record names a set of its block');
      const size =
        RECORD_OVERHEAD + headers.length + Math.max(0, keyLength) + Math.max(0, valueLength);
      if (writer.isFullBefore(size)) drafts.push(writer.take());
      writer.write(block, size, headers, timestampMs, keyStart, keyLength, valueStart, valueLength);
    });
    yield* drafts;
  }
  if (writer.count > 0) yield writer.take();
}

class RecordWriter {
  readonly #maxBytes: number;
  #bytes = Buffer.alloc(0);
  #cursor = HEAD;
  #expected = 0;
  #baseTimestampMs = 0;
  #maxTimestampMs = 0;
  count = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** So many bytes are likely to come: how large the next buffer should be. */
  expect(bytes: number): void {
    this.#expected += bytes;
  }

  isFullBefore(size: number): boolean {
    return this.count > 0 && this.#cursor + size > this.#maxBytes;
  }

  write(
    block: Uint8Array,
    size: number,
    headers: Buffer,
    timestampMs: number,
    keyStart: number,
    keyLength: number,
    valueStart: number,
    valueLength: number,
  ): void {
    const time = Math.floor(timestampMs);
    if (this.count === 0) this.#baseTimestampMs = this.#maxTimestampMs = time;
    else if (time > this.#maxTimestampMs) this.#maxTimestampMs = time;
    this.#reserve(size);
    const bytes = this.#bytes;
    const delta = time - this.#baseTimestampMs;
    const keyBytes = Math.max(0, keyLength);
    const valueBytes = Math.max(0, valueLength);
    const length =
      1 +
      varintSize(delta) +
      varintSize(this.count) +
      varintSize(keyLength) +
      keyBytes +
      varintSize(valueLength) +
      valueBytes +
      headers.length;
    let at = writeVarint(bytes, this.#cursor, length);
    bytes[at] = 0;
    at = writeVarint(bytes, at + 1, delta);
    at = writeVarint(bytes, at, this.count);
    at = writeVarint(bytes, at, keyLength);
    at = copyInto(bytes, at, block, keyStart, keyBytes);
    at = writeVarint(bytes, at, valueLength);
    at = copyInto(bytes, at, block, valueStart, valueBytes);
    this.#cursor = copyInto(bytes, at, headers, 0, headers.length);
    this.count += 1;
  }

  take(): DraftBatch {
    const draft = {
      bytes: this.#bytes.subarray(0, this.#cursor),
      count: this.count,
      baseTimestampMs: this.#baseTimestampMs,
      maxTimestampMs: this.#maxTimestampMs,
    };
    this.#expected = Math.max(0, this.#expected - this.#cursor);
    this.#bytes = Buffer.alloc(0);
    this.#cursor = HEAD;
    this.count = 0;
    return draft;
  }

  #reserve(size: number): void {
    const needed = this.#cursor + size;
    if (needed <= this.#bytes.length) return;
    const wanted = this.count === 0 ? Math.min(this.#maxBytes, HEAD + this.#expected) : 0;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, wanted, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#cursor);
    this.#bytes = grown;
  }
}

/** A batch ready to be sent. `compressed`: the records after the head, by zstd, if that is smaller. */
export function sealBatch(
  draft: DraftBatch,
  compressed: Buffer | undefined,
  producer: ProducerIdentity,
  baseSequence: number,
): Buffer {
  const isSmaller = compressed !== undefined && compressed.length < draft.bytes.length - HEAD;
  const batch = isSmaller ? Buffer.allocUnsafeSlow(HEAD + compressed.length) : draft.bytes;
  if (isSmaller) compressed.copy(batch, HEAD);
  batch.writeBigInt64BE(0n, 0);
  batch.writeInt32BE(batch.length - LENGTH_AT - 4, LENGTH_AT);
  batch.writeInt32BE(-1, 12);
  batch[16] = MAGIC;
  batch.writeInt16BE(TRANSACTIONAL | (isSmaller ? ZSTD : 0), ATTRIBUTES_AT);
  batch.writeInt32BE(draft.count - 1, 23);
  batch.writeBigInt64BE(BigInt(draft.baseTimestampMs), 27);
  batch.writeBigInt64BE(BigInt(draft.maxTimestampMs), 35);
  batch.writeBigInt64BE(producer.id, 43);
  batch.writeInt16BE(producer.epoch, 51);
  batch.writeInt32BE(baseSequence, 53);
  batch.writeInt32BE(draft.count, COUNT_AT);
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT);
  return batch;
}

export const ZSTD = 4;

/** The part of a draft that may be compressed. */
export function recordsOf(draft: DraftBatch): Buffer {
  return draft.bytes.subarray(HEAD);
}

/** The head of a batch as it was read. */
export type Batch = Readonly<{
  baseOffset: number;
  /** Of what comes after it. */
  nextOffset: number;
  maxTimestampMs: number;
  producerId: bigint;
  isTransactional: boolean;
  /** Set for a batch that ends a transaction, and holds no records of anyone. */
  ends: 'commit' | 'abort' | undefined;
  /** From its head on. */
  bytes: Buffer;
}>;

/** The whole batches there are; one that is cut short at the end is left out. Fails with `log_corrupt`. */
export function* batchesOf(bytes: Buffer): Generator<Batch, void> {
  for (let at = 0; at + HEAD <= bytes.length;) {
    const end = at + LENGTH_AT + 4 + bytes.readInt32BE(at + LENGTH_AT);
    if (end > bytes.length) return;
    yield batchOf(bytes.subarray(at, end));
    at = end;
  }
}

function batchOf(bytes: Buffer): Batch {
  const baseOffset = Number(bytes.readBigInt64BE(0));
  if (bytes[16] !== MAGIC) {
    throw new MillraceError('log_corrupt', {
      offset: baseOffset,
      expected: `batches of version ${MAGIC}`,
      found: bytes[16],
    });
  }
  if (crc32c(bytes.subarray(ATTRIBUTES_AT)) !== bytes.readUInt32BE(CRC_AT)) {
    throw new MillraceError('log_corrupt', { offset: baseOffset, expected: 'the checksum stored' });
  }
  const attributes = bytes.readInt16BE(ATTRIBUTES_AT);
  return {
    baseOffset,
    nextOffset: baseOffset + bytes.readInt32BE(23) + 1,
    maxTimestampMs: Number(bytes.readBigInt64BE(35)),
    producerId: bytes.readBigInt64BE(43),
    isTransactional: (attributes & TRANSACTIONAL) !== 0,
    ends: (attributes & CONTROL) === 0 ? undefined : endOf(bytes),
    bytes,
  };
}

/** The key of a control record is its version and its type. */
function endOf(bytes: Buffer): Batch['ends'] {
  const [record] = decode(bytes, 0);
  return record?.key?.[3] === ABORT ? 'abort' : 'commit';
}

/** The records of a batch from an offset on. Keys and values are views of memory that nothing else uses. */
export function decodeBatch(batch: Batch, from: number): LogRecord[] {
  return batch.ends === undefined ? decode(batch.bytes, from) : [];
}

function decode(batch: Buffer, from: number): LogRecord[] {
  const attributes = batch.readInt16BE(ATTRIBUTES_AT);
  const baseOffset = Number(batch.readBigInt64BE(0));
  const maxTimestampMs = Number(batch.readBigInt64BE(35));
  const baseTimestampMs = Number(batch.readBigInt64BE(27));
  const isAppendTime = (attributes & LOG_APPEND_TIME) !== 0;
  const count = batch.readInt32BE(COUNT_AT);
  const cursor = new Cursor(uncompressed(attributes & COMPRESSION, batch.subarray(HEAD)));
  const records: LogRecord[] = [];
  for (let index = 0; index < count; index += 1) {
    const length = cursor.varint();
    const end = cursor.at + length;
    cursor.at += 1;
    const timestampMs = baseTimestampMs + cursor.varint();
    const offset = baseOffset + cursor.varint();
    if (offset >= from) {
      records.push({
        offset,
        timestampMs: isAppendTime ? maxTimestampMs : timestampMs,
        key: cursor.view(),
        value: cursor.view(),
        headers: cursor.headers(end),
      });
    }
    cursor.at = end;
  }
  return records;
}

class Cursor {
  readonly #bytes: Buffer;
  at = 0;
  #headers: readonly Header[] = [];
  #headersStart = 0;
  #headersEnd = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  varint(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.at++] ?? 0;
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    let low = byte & 0x7f;
    let shift = 7;
    // Twenty-eight bits by shifts, what is above them by arithmetic, as shifts have but 32.
    for (; shift < 28; shift += 7) {
      byte = bytes[this.at++] ?? 0;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (low >>> 1) ^ -(low & 1);
    }
    let whole = low;
    do {
      byte = bytes[this.at++] ?? 0;
      whole += (byte & 0x7f) * 2 ** shift;
      shift += 7;
    } while (byte >= 0x80);
    return (low & 1) === 0 ? whole / 2 : -(whole + 1) / 2;
  }

  view(): Buffer | null {
    const length = this.varint();
    if (length < 0) return null;
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  /** Those of a record are mostly the same, byte by byte, as those before. */
  headers(end: number): readonly Header[] {
    const bytes = this.#bytes;
    const start = this.at;
    if (
      end - start === this.#headersEnd - this.#headersStart &&
      bytes.compare(bytes, this.#headersStart, this.#headersEnd, start, end) === 0
    ) {
      return this.#headers;
    }
    this.#headersStart = start;
    this.#headersEnd = end;
    this.#headers = Array.from({ length: this.varint() }, () => [this.#text(), this.#text()]);
    return this.#headers;
  }

  #text(): string {
    return this.view()?.toString() ?? '';
  }
}

function uncompressed(codec: number, records: Buffer): Buffer {
  if (codec === 0) return records;
  const algorithm = compressionsAlgorithmsByBitmask[codec];
  if (algorithm === undefined) {
    throw new MillraceError('log_corrupt', { expected: 'a known compression', found: codec });
  }
  return algorithm.decompressSync(records);
}

function encodeHeaders(headers: readonly Header[]): Buffer {
  const parts = headers.flatMap((header) => header.map((text) => Buffer.from(text)));
  const size = parts.reduce((sum, part) => sum + part.length + varintSize(part.length), 0);
  const bytes = Buffer.allocUnsafe(size + varintSize(headers.length));
  let at = writeVarint(bytes, 0, headers.length);
  for (const part of parts)
    at = copyInto(bytes, writeVarint(bytes, at, part.length), part, 0, part.length);
  return bytes;
}

/** A plain loop beats a copy of few bytes. */
const FEW = 48;

function copyInto(
  target: Buffer,
  at: number,
  source: Uint8Array,
  start: number,
  length: number,
): number {
  if (length < FEW) {
    for (let index = 0; index < length; index += 1) target[at + index] = source[start + index] ?? 0;
  } else {
    target.set(source.subarray(start, start + length), at);
  }
  return at + length;
}

const INT32 = 2 ** 31;

function varintSize(value: number): number {
  let left = value < 0 ? -2 * value - 1 : 2 * value;
  let size = 1;
  for (; left >= 0x80; size += 1) left = Math.floor(left / 0x80);
  return size;
}

/** Returns where the next byte goes. */
function writeVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  if (value >= -INT32 / 2 && value < INT32 / 2) {
    let left = ((value << 1) ^ (value >> 31)) >>> 0;
    for (; left >= 0x80; left >>>= 7) bytes[at++] = (left & 0x7f) | 0x80;
    bytes[at++] = left;
    return at;
  }
  let left = value < 0 ? -2 * value - 1 : 2 * value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes[at++] = (left % 0x80) | 0x80;
  bytes[at++] = left;
  return at;
}
