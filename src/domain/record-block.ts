import { must } from '../lib/must.ts';

/*
 * HOT PATH. Every captured change passes through here: records are written straight into one
 * growing buffer a partition, without an object a record.
 *
 * A block is the records of one partition, back to back, then the header sets they share:
 *
 *   record    := keyLength i32 | valueLength i32 | headerSet u16 | timestampMs f64 | key | value
 *   headerSet := count u16 { nameLength u16 | name | valueLength u32 | value }*
 *   block     := record* | headerSet* | recordsLength u32 | recordCount u32 | headerSetCount u16
 *
 * Little endian; a length of -1 is null (a null value is a tombstone). Context headers repeat on
 * every record of a connector, so a record names its header set by index instead of carrying it.
 */
const PREFIX = 18;
const TRAILER = 10;

export type Header = readonly [name: string, value: string];

export type LogRecord = Readonly<{
  offset: number;
  timestampMs: number;
  /** Null: the record has no key. */
  key: Uint8Array | null;
  /** Null: a tombstone. */
  value: Uint8Array | null;
  headers: readonly Header[];
}>;

/** Records of one partition in their encoded form: the unit in which they are appended. */
export type RecordBlock = Readonly<{
  topic: string;
  partition: number;
  count: number;
  bytes: Uint8Array;
}>;

/**
 * Encodes records of one partition.
 *
 * For hot callers: `reserve(n)`, write the key at `cursor`, call `endKey`, write the value at the
 * new `cursor`, call `endValue`. For others: `add`.
 */
export class BlockWriter {
  bytes: Buffer;
  /** Where the next byte goes; callers move it as they write. */
  cursor = 0;
  count = 0;
  #recordStart = 0;
  #headerSets: Buffer[] = [];
  readonly #headerSetIndex = new Map<string, number>();

  /** Starts in a buffer of this many bytes, or in one that is no longer used by another block. */
  constructor(initial: number | Buffer = 16_384) {
    this.bytes = typeof initial === 'number' ? Buffer.allocUnsafeSlow(initial) : initial;
  }

  /** Bytes the block would have now. */
  get size(): number {
    return this.cursor;
  }

  /** Makes room for `more` bytes at the cursor; `bytes` may be another buffer afterwards. */
  reserve(more: number): void {
    const needed = this.cursor + more;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.cursor);
    this.bytes = grown;
  }

  /** The index of headers that many records share; good until `take`. At most 65,536 a block. */
  headerSet(headers: readonly Header[]): number {
    const encoded = encodeHeaders(headers);
    const identity = encoded.toString('latin1');
    const known = this.#headerSetIndex.get(identity);
    if (known !== undefined) return known;
    const index = this.#headerSets.push(encoded) - 1;
    this.#headerSetIndex.set(identity, index);
    return index;
  }

  get headerSetCount(): number {
    return this.#headerSets.length;
  }

  /** Starts a record; the caller has reserved room for it. */
  beginRecord(headerSet: number, timestampMs: number): void {
    this.#recordStart = this.cursor;
    this.bytes.writeInt32LE(-1, this.cursor);
    this.bytes.writeInt32LE(-1, this.cursor + 4);
    this.bytes.writeUInt16LE(headerSet, this.cursor + 8);
    this.bytes.writeDoubleLE(timestampMs, this.cursor + 10);
    this.cursor += PREFIX;
  }

  /** What stands between the record's start and the cursor is its key. Not called: a null key. */
  endKey(): void {
    this.bytes.writeInt32LE(this.cursor - this.#recordStart - PREFIX, this.#recordStart);
  }

  /** What stands between the key's end and the cursor is the value. Not called: a tombstone. */
  endValue(): void {
    const keyLength = Math.max(0, this.bytes.readInt32LE(this.#recordStart));
    const valueStart = this.#recordStart + PREFIX + keyLength;
    this.bytes.writeInt32LE(this.cursor - valueStart, this.#recordStart + 4);
  }

  endRecord(): void {
    this.count += 1;
  }

  add(record: Omit<LogRecord, 'offset'>, headerSet = this.headerSet(record.headers)): void {
    this.reserve(PREFIX + (record.key?.length ?? 0) + (record.value?.length ?? 0));
    this.beginRecord(headerSet, record.timestampMs);
    if (record.key !== null) {
      this.bytes.set(record.key, this.cursor);
      this.cursor += record.key.length;
      this.endKey();
    }
    if (record.value !== null) {
      this.bytes.set(record.value, this.cursor);
      this.cursor += record.value.length;
      this.endValue();
    }
    this.endRecord();
  }

  /** The finished block, which owns its bytes; the writer is empty afterwards, in `next` as its buffer. */
  take(topic: string, partition: number, next: number | Buffer = 16_384): RecordBlock {
    const count = this.count;
    const recordsLength = this.cursor;
    const headerBytes = this.#headerSets.reduce((sum, set) => sum + set.length, 0);
    this.reserve(headerBytes + TRAILER);
    for (const set of this.#headerSets) {
      set.copy(this.bytes, this.cursor);
      this.cursor += set.length;
    }
    this.bytes.writeUInt32LE(recordsLength, this.cursor);
    this.bytes.writeUInt32LE(count, this.cursor + 4);
    this.bytes.writeUInt16LE(this.#headerSets.length, this.cursor + 8);
    const bytes = this.bytes.subarray(0, this.cursor + TRAILER);
    this.bytes = typeof next === 'number' ? Buffer.allocUnsafeSlow(next) : next;
    this.cursor = 0;
    this.count = 0;
    this.#headerSets = [];
    this.#headerSetIndex.clear();
    return { topic, partition, count, bytes };
  }
}

/** Blocks of records given one by one, in their order, a block a partition. */
export function blocksOf(
  records: readonly Readonly<{
    topic: string;
    partition: number;
    record: Omit<LogRecord, 'offset'>;
  }>[],
): RecordBlock[] {
  const writers = new Map<string, { topic: string; partition: number; writer: BlockWriter }>();
  for (const { topic, partition, record } of records) {
    const id = `${topic}/${partition}`;
    const entry = writers.get(id) ?? { topic, partition, writer: new BlockWriter(1024) };
    writers.set(id, entry);
    entry.writer.add(record);
  }
  return [...writers.values()].map(({ topic, partition, writer }) => writer.take(topic, partition));
}

/**
 * The records of a block, the first at `baseOffset`. Keys and values are views of `bytes`, so
 * `bytes` must outlive them unchanged. `from` skips the records before that offset.
 */
export function decodeBlock(bytes: Uint8Array, baseOffset: number, from = baseOffset): LogRecord[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const trailer = buffer.length - TRAILER;
  const recordsLength = buffer.readUInt32LE(trailer);
  const count = buffer.readUInt32LE(trailer + 4);
  const headerSets = decodeHeaderSets(buffer, recordsLength, buffer.readUInt16LE(trailer + 8));
  const records: LogRecord[] = [];
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    const keyLength = buffer.readInt32LE(at);
    const valueLength = buffer.readInt32LE(at + 4);
    const keyStart = at + PREFIX;
    const valueStart = keyStart + Math.max(0, keyLength);
    const next = valueStart + Math.max(0, valueLength);
    if (baseOffset + index >= from) {
      records.push({
        offset: baseOffset + index,
        timestampMs: buffer.readDoubleLE(at + 10),
        key: keyLength < 0 ? null : buffer.subarray(keyStart, valueStart),
        value: valueLength < 0 ? null : buffer.subarray(valueStart, next),
        headers: must(headerSets[buffer.readUInt16LE(at + 8)], 'a record names a set of its block'),
      });
    }
    at = next;
  }
  return records;
}

/**
 * Calls `visit` for each record of a block, with where its parts stand in `bytes` instead of an
 * object: for whoever writes them in another form. A length of -1 is null; `headerSet` is an index
 * into `headerSetsOf`.
 */
export function visitBlock(
  bytes: Uint8Array,
  visit: (
    headerSet: number,
    timestampMs: number,
    keyStart: number,
    keyLength: number,
    valueStart: number,
    valueLength: number,
  ) => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = view.getUint32(bytes.length - TRAILER + 4, true);
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    const keyLength = view.getInt32(at, true);
    const valueLength = view.getInt32(at + 4, true);
    const keyStart = at + PREFIX;
    const valueStart = keyStart + Math.max(0, keyLength);
    const headerSet = view.getUint16(at + 8, true);
    visit(headerSet, view.getFloat64(at + 10, true), keyStart, keyLength, valueStart, valueLength);
    at = valueStart + Math.max(0, valueLength);
  }
}

/** The header sets that the records of a block name by index. */
export function headerSetsOf(bytes: Uint8Array): readonly (readonly Header[])[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const trailer = buffer.length - TRAILER;
  return decodeHeaderSets(buffer, buffer.readUInt32LE(trailer), buffer.readUInt16LE(trailer + 8));
}

/** How many records an encoded block holds. */
export function countOf(bytes: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUInt32LE(
    bytes.length - TRAILER + 4,
  );
}

/** The latest timestamp of a block's records; -Infinity when it has none. */
export function latestTimestampOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = view.getUint32(bytes.length - TRAILER + 4, true);
  let latest = -Infinity;
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    const timestampMs = view.getFloat64(at + 10, true);
    if (timestampMs > latest) latest = timestampMs;
    at += PREFIX + Math.max(0, view.getInt32(at, true)) + Math.max(0, view.getInt32(at + 4, true));
  }
  return latest;
}

function encodeHeaders(headers: readonly Header[]): Buffer {
  const parts: Buffer[] = [u16(headers.length)];
  for (const [name, value] of headers) {
    const nameBytes = Buffer.from(name);
    const valueBytes = Buffer.from(value);
    parts.push(u16(nameBytes.length), nameBytes, u32(valueBytes.length), valueBytes);
  }
  return Buffer.concat(parts);
}

function decodeHeaderSets(buffer: Buffer, start: number, count: number): Header[][] {
  const sets: Header[][] = [];
  let at = start;
  const text = (length: number): string => {
    at += length;
    return buffer.toString('utf8', at - length, at);
  };
  for (let set = 0; set < count; set += 1) {
    const headers: Header[] = [];
    let left = buffer.readUInt16LE(at);
    at += 2;
    for (; left > 0; left -= 1) {
      at += 2;
      const name = text(buffer.readUInt16LE(at - 2));
      at += 4;
      headers.push([name, text(buffer.readUInt32LE(at - 4))]);
    }
    sets.push(headers);
  }
  return sets;
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
