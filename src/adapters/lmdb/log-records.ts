import {
  countOf,
  decodeBlock,
  latestTimestampOf,
  type LogRecord,
  type RecordBlock,
} from '../../domain/record-block.ts';
import type { TopicPartition } from '../../ports/event-log.ts';
import { type PackedBlock, unpack } from './packed-block.ts';
import { LAST_STRING, type LogDatabase, type LogKey } from './log-environment.ts';

// Of many small blocks as many as fill this are read in one go; a larger block is read alone.
const READ_BYTES = 256 * 1024;
const READ_BLOCKS = 64;

/** `latestMs`: the latest timestamp of all records that ever were before `end`. */
export type End = Readonly<{ end: number; latestMs: number }>;

/**
 * The records of one segment.
 *
 *   ['base', topic, partition]                     -> the first offset that is not in older segments; absent: 0
 *   ['end', topic, partition]                      -> the offset of the next record, the latest timestamp
 *   ['block', topic, partition, last, latest]      -> the encoded block, compressed when it is large
 *   ['kept', topic, partition, last, latest]       -> of a compacted topic, records from older segments:
 *                                                     their offsets (f64 each), then the block
 *
 * A block's key is its last offset, so that the first key at or after an offset is the block that
 * holds it; `latest` is the latest timestamp of all records up to and with this block, so that it
 * only grows and a time can be searched for.
 */
export class LogRecords {
  readonly #db: LogDatabase;
  readonly #bases = new Map<string, number>();

  constructor(db: LogDatabase) {
    this.#db = db;
  }

  end({ topic, partition }: TopicPartition): End {
    const bytes = this.#db.get(['end', topic, partition]);
    if (bytes === undefined) return { end: 0, latestMs: -Infinity };
    return { end: bytes.readDoubleLE(0), latestMs: bytes.readDoubleLE(8) };
  }

  /** Starts a partition where the segment before ended. */
  continue({ topic, partition }: TopicPartition, { end, latestMs }: End): void {
    this.#put(['base', topic, partition], floats([end]));
    this.#put(['end', topic, partition], floats([end, latestMs]));
  }

  base({ topic, partition }: TopicPartition): number {
    const id = `${topic}/${partition}`;
    const known = this.#bases.get(id);
    if (known !== undefined) return known;
    const base = this.#db.get(['base', topic, partition])?.readDoubleLE(0) ?? 0;
    this.#bases.set(id, base);
    return base;
  }

  append({ topic, partition, count, bytes, latestMs: ownMs }: PackedBlock): void {
    if (count === 0) return;
    const before = this.end({ topic, partition });
    const end = before.end + count;
    const latestMs = Math.max(before.latestMs, ownMs);
    this.#put(['block', topic, partition, end - 1, latestMs], bytes);
    this.#put(['end', topic, partition], floats([end, latestMs]));
  }

  /** Stores records of older segments, whose offsets have gaps. */
  keep(offsets: readonly number[], { topic, partition, bytes }: RecordBlock): void {
    const last = offsets.at(-1) ?? 0;
    const latestMs = latestTimestampOf(bytes);
    this.#put(['kept', topic, partition, last, latestMs], Buffer.concat([floats(offsets), bytes]));
  }

  get hasBlocks(): boolean {
    const keys = this.#db.getKeys({ start: ['block'], end: ['block', LAST_STRING], limit: 1 });
    return [...keys].length > 0;
  }

  /** Records at or after `from` that were appended to this segment: of the next blocks, some. */
  blocks(partition: TopicPartition, from: number): LogRecord[] {
    return this.#read('block', partition, from, (bytes, last) =>
      decodeBlock(bytes, last + 1 - countOf(bytes), from),
    );
  }

  /** The same of those that were kept from older segments. */
  kept(partition: TopicPartition, from: number): LogRecord[] {
    return this.#read('kept', partition, from, (bytes) => decodeKept(bytes, from));
  }

  /** An offset before which nothing in this or an older segment is as late as this time. */
  firstAt(partition: TopicPartition, timestampMs: number): number {
    let low = this.base(partition);
    let high = this.end(partition).end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const [key] = this.#keys('block', partition, middle, 1);
      if (key !== undefined && Number(key[4]) < timestampMs) low = Number(key[3]) + 1;
      else high = middle;
    }
    return low;
  }

  #read(
    kind: 'block' | 'kept',
    partition: TopicPartition,
    from: number,
    decode: (bytes: Buffer, last: number) => LogRecord[],
  ): LogRecord[] {
    let records: LogRecord[] = [];
    let size = 0;
    for (const key of this.#keys(kind, partition, from, READ_BLOCKS)) {
      if (size >= READ_BYTES) break;
      const stored = this.#db.getBinary([...key]);
      if (stored === undefined) continue;
      if (size > 0 && size + stored.length > READ_BYTES) break;
      const bytes = kind === 'block' ? unpack(stored) : stored;
      size += bytes.length;
      const decoded = decode(bytes, Number(key[3]));
      records = records.length === 0 ? decoded : records.concat(decoded);
    }
    return records;
  }

  #keys(kind: string, { topic, partition }: TopicPartition, from: number, limit: number): LogKey[] {
    const start = [kind, topic, partition, from];
    return [...this.#db.getKeys({ start, end: [kind, topic, partition, Infinity], limit })];
  }

  #put(key: LogKey, value: Uint8Array): void {
    this.#db.putSync([...key], value as Buffer);
  }
}

function decodeKept(bytes: Buffer, from: number): LogRecord[] {
  const count = countOf(bytes);
  const records = decodeBlock(bytes.subarray(count * 8), 0);
  return records
    .map((record, index) => ({ ...record, offset: bytes.readDoubleLE(index * 8) }))
    .filter(({ offset }) => offset >= from);
}

function floats(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  for (const [index, value] of values.entries()) bytes.writeDoubleLE(value, index * 8);
  return bytes;
}
