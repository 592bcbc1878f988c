import { compressionsAlgorithmsByBitmask, crc32c } from '@platformatic/kafka';
import { MillraceError } from '../../domain/errors.ts';
import type { Header, LogRecord } from '../../domain/record-block.ts';
import {
  ATTRIBUTES_AT,
  BASE_TIMESTAMP_AT,
  COMPRESSION,
  CONTROL,
  COUNT_AT,
  COUNTED_FROM,
  CRC_AT,
  HEAD,
  LAST_DELTA_AT,
  LENGTH_AT,
  LOG_APPEND_TIME,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_ID_AT,
  TRANSACTIONAL,
} from './record-batch-layout.ts';

/*
 * HOT PATH. Every record that is read passes through here. Measured as in record-batch-writer.ts:
 * 235-260k records/s, 1.9 us of CPU a record.
 */

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
    const end = at + COUNTED_FROM + bytes.readInt32BE(at + LENGTH_AT);
    if (end > bytes.length) return;
    yield batchOf(bytes.subarray(at, end));
    at = end;
  }
}

function batchOf(bytes: Buffer): Batch {
  const baseOffset = Number(bytes.readBigInt64BE(0));
  if (bytes[MAGIC_AT] !== MAGIC) {
    throw new MillraceError('log_corrupt', {
      offset: baseOffset,
      expected: `batches of version ${MAGIC}`,
      found: bytes[MAGIC_AT],
    });
  }
  if (crc32c(bytes.subarray(ATTRIBUTES_AT)) !== bytes.readUInt32BE(CRC_AT)) {
    throw new MillraceError('log_corrupt', { offset: baseOffset, expected: 'the checksum stored' });
  }
  const attributes = bytes.readInt16BE(ATTRIBUTES_AT);
  return {
    baseOffset,
    nextOffset: baseOffset + bytes.readInt32BE(LAST_DELTA_AT) + 1,
    maxTimestampMs: Number(bytes.readBigInt64BE(MAX_TIMESTAMP_AT)),
    producerId: bytes.readBigInt64BE(PRODUCER_ID_AT),
    isTransactional: (attributes & TRANSACTIONAL) !== 0,
    ends: (attributes & CONTROL) === 0 ? undefined : endOf(bytes),
    bytes,
  };
}

const ABORT = 0;

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
  const maxTimestampMs = Number(batch.readBigInt64BE(MAX_TIMESTAMP_AT));
  const baseTimestampMs = Number(batch.readBigInt64BE(BASE_TIMESTAMP_AT));
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
