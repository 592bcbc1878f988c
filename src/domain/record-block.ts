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

/** How many header sets a block holds at most. */
export const MAX_HEADER_SETS = 65_535;

/** What a writer held when it was asked. */
export type WriterMark = Readonly<{
  cursor: number;
  count: number;
  headerCursor: number;
  headerSetCount: number;
}>;

/**
 * Encodes records of one partition.
 *
 * For hot callers: `reserve(n)`, write the key at `cursor`, call `endKey`, write the value at the
 * new `cursor`, call `endValue`; or `put`. For others: `add`.
 */
export class BlockWriter {
  bytes: Buffer;
  /** Where the next byte goes; callers move it as they write. */
  cursor = 0;
  count = 0;
  #recordStart = 0;
  /** Header sets back to back. */
  #headers = NO_BYTES;
  #headerCursor = 0;
  #headerSetCount = 0;
  readonly #headerSetIndex = new Map<string, number>();

  /** Starts in a buffer of this many bytes, or in one that is no longer used by another block. */
  constructor(initial: number | Buffer = 16_384) {
    this.bytes = typeof initial === 'number' ? Buffer.allocUnsafeSlow(initial) : initial;
  }

  /** Bytes the block would have now. */
  get size(): number {
    return this.cursor + this.#headerCursor;
  }

  /** Makes room for `more` bytes at the cursor; `bytes` may be another buffer afterwards. */
  reserve(more: number): void {
    const needed = this.cursor + more;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.cursor);
    this.bytes = grown;
  }

  /** The index of headers that many records share; good until `take`. */
  headerSet(headers: readonly Header[]): number {
    const encoded = encodeHeaders(headers);
    const identity = encoded.toString('latin1');
    const known = this.#headerSetIndex.get(identity);
    if (known !== undefined) return known;
    const index = this.addHeaderSet(encoded);
    this.#headerSetIndex.set(identity, index);
    return index;
  }

  /** The index of headers that no other record has, given as `encodeHeaders` encodes them. */
  addHeaderSet(encoded: Buffer, length = encoded.length): number {
    this.#reserveHeaders(length);
    encoded.copy(this.#headers, this.#headerCursor, 0, length);
    this.#headerCursor += length;
    this.#headerSetCount += 1;
    return this.#headerSetCount - 1;
  }

  get headerSetCount(): number {
    return this.#headerSetCount;
  }

  mark(): WriterMark {
    return {
      cursor: this.cursor,
      count: this.count,
      headerCursor: this.#headerCursor,
      headerSetCount: this.#headerSetCount,
    };
  }

  /** Takes back what was written since the mark was made. */
  restore({ cursor, count, headerCursor, headerSetCount }: WriterMark): void {
    this.cursor = cursor;
    this.count = count;
    this.#headerCursor = headerCursor;
    this.#headerSetCount = headerSetCount;
    for (const [identity, index] of this.#headerSetIndex) {
      if (index >= headerSetCount) this.#headerSetIndex.delete(identity);
    }
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
    this.put(record.key, record.value, record.timestampMs, headerSet);
  }

  /** Adds a record whose key and value are bytes, or text. */
  put(
    key: Uint8Array | string | null,
    value: Uint8Array | string | null,
    timestampMs: number,
    headerSet: number,
  ): void {
    this.reserve(PREFIX + mostBytesOf(key) + mostBytesOf(value));
    const start = this.cursor;
    const keyStart = start + PREFIX;
    const valueStart = key === null ? keyStart : keyStart + this.#write(key, keyStart);
    const end = value === null ? valueStart : valueStart + this.#write(value, valueStart);
    const { bytes } = this;
    bytes.writeInt32LE(key === null ? -1 : valueStart - keyStart, start);
    bytes.writeInt32LE(value === null ? -1 : end - valueStart, start + 4);
    bytes.writeUInt16LE(headerSet, start + 8);
    bytes.writeDoubleLE(timestampMs, start + 10);
    this.cursor = end;
    this.count += 1;
  }

  /** Adds all records of a block; the caller sees to it that the header sets of both are not too many. */
  addBlock(block: Uint8Array): void {
    const from = Buffer.from(block.buffer, block.byteOffset, block.length);
    const trailer = from.length - TRAILER;
    const recordsLength = from.readUInt32LE(trailer);
    this.reserve(recordsLength);
    from.copy(this.bytes, this.cursor, 0, recordsLength);
    const end = this.cursor + recordsLength;
    const before = this.#headerSetCount;
    for (let at = this.cursor; before > 0 && at < end;) {
      this.bytes.writeUInt16LE(this.bytes.readUInt16LE(at + 8) + before, at + 8);
      const keyLength = Math.max(0, this.bytes.readInt32LE(at));
      at += PREFIX + keyLength + Math.max(0, this.bytes.readInt32LE(at + 4));
    }
    this.cursor = end;
    this.count += from.readUInt32LE(trailer + 4);
    this.#reserveHeaders(trailer - recordsLength);
    from.copy(this.#headers, this.#headerCursor, recordsLength, trailer);
    this.#headerCursor += trailer - recordsLength;
    this.#headerSetCount = before + from.readUInt16LE(trailer + 8);
  }

  /** The finished block, which owns its bytes; the writer is empty afterwards, in `next` as its buffer. */
  take(topic: string, partition: number, next: number | Buffer = 16_384): RecordBlock {
    const count = this.count;
    const recordsLength = this.cursor;
    this.reserve(this.#headerCursor + TRAILER);
    this.#headers.copy(this.bytes, this.cursor, 0, this.#headerCursor);
    this.cursor += this.#headerCursor;
    this.bytes.writeUInt32LE(recordsLength, this.cursor);
    this.bytes.writeUInt32LE(count, this.cursor + 4);
    this.bytes.writeUInt16LE(this.#headerSetCount, this.cursor + 8);
    const bytes = this.bytes.subarray(0, this.cursor + TRAILER);
    this.bytes = typeof next === 'number' ? Buffer.allocUnsafeSlow(next) : next;
    this.cursor = 0;
    this.count = 0;
    this.#headerCursor = 0;
    this.#headerSetCount = 0;
    this.#headerSetIndex.clear();
    return { topic, partition, count, bytes };
  }

  /** Returns the bytes that it has. */
  #write(part: Uint8Array | string, at: number): number {
    if (typeof part === 'string') return this.bytes.write(part, at, 'utf8');
    this.bytes.set(part, at);
    return part.length;
  }

  #reserveHeaders(more: number): void {
    const needed = this.#headerCursor + more;
    if (needed <= this.#headers.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#headers.length * 2, 256));
    this.#headers.copy(grown, 0, 0, this.#headerCursor);
    this.#headers = grown;
  }
}

const NO_BYTES = Buffer.alloc(0);

/** A UTF-16 unit takes at most three bytes of UTF-8. */
function mostBytesOf(part: Uint8Array | string | null): number {
  if (part === null) return 0;
  return typeof part === 'string' ? part.length * 3 : part.length;
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

/** How many header sets the records of an encoded block name. */
export function headerSetCountOf(bytes: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUInt16LE(
    bytes.length - TRAILER + 8,
  );
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

/** Headers as a block has them. */
export function encodeHeaders(headers: readonly Header[]): Buffer {
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
