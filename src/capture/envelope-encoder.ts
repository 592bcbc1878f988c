import { must } from '../lib/must.ts';
import { murmur2 } from '../lib/murmur2.ts';
import type { BlockWriter, Header } from '../domain/record-block.ts';
import type { TopicWriters } from './record-batch.ts';
import type { Relation } from './relation.ts';
import type { Tuple } from './tuple.ts';

/*
 * HOT PATH. Writes Debezium's envelope around rows, byte by byte into the block that the log
 * stores. What is the same for all changes of a transaction and table is put together once and
 * copied; only the rows, the key and the LSN are written a change.
 *
 * https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events
 */

/** What the record says of where it comes from, the same for all changes of one transaction. */
export type Origin = Readonly<{
  /** Commit time, or the time of the copy: microseconds since 1970. */
  timeUs: number;
  /** Null for incremental copies. */
  txId: number | null;
  /** Where the commit before ends, as a number; null for a first copy. */
  previousCommit: number | null;
  /** "false" when streamed. */
  snapshot: string;
}>;

export type EnvelopeNames = Readonly<{
  prefix: string;
  database: string;
  version: string;
  /** `source.snapshot` of what is streamed. */
  streamed: 'false' | null;
}>;

const OP = { c: 0x63, u: 0x75, d: 0x64, r: 0x72, t: 0x74 } as const;
export type RowOperation = keyof typeof OP;

const KEY_BEFORE = Buffer.from('{"before":');
const KEY_AFTER = Buffer.from(',"after":');
const NULL_TEXT = Buffer.from('null');
/** Envelope without rows, key, and prefix of the record: names are counted on top. */
const FIXED_BYTES = 900;

/** Writes the records of one relation. */
export class EnvelopeEncoder {
  readonly relation: Relation;
  readonly #names: EnvelopeNames;
  readonly #writers: TopicWriters;
  readonly #fixedBytes: number;
  readonly #head: Buffer;
  readonly #middle: Buffer;
  #headLength = 0;
  #middleLength = 0;
  #origin: Origin | undefined;
  #key: Buffer = Buffer.allocUnsafeSlow(256);

  constructor(relation: Relation, names: EnvelopeNames, writers: TopicWriters) {
    this.relation = relation;
    this.#names = names;
    this.#writers = writers;
    const { schema, name } = relation.shape;
    const text = [schema, name, names.prefix, names.database, names.version];
    const nameBytes = text.reduce((sum, each) => sum + Buffer.byteLength(JSON.stringify(each)), 0);
    this.#fixedBytes = FIXED_BYTES + nameBytes;
    this.#head = Buffer.allocUnsafeSlow(this.#fixedBytes);
    this.#middle = Buffer.allocUnsafeSlow(this.#fixedBytes);
  }

  /**
   * Writes one change. `lsn` is null for incremental copies. Of the values that `after` leaves out
   * as unchanged, `old` may hold some. `valueBytes`: no row takes more, as `jsonBytesOf` counts.
   */
  write(
    op: RowOperation,
    before: Tuple | undefined,
    after: Tuple | undefined,
    old: Tuple | undefined,
    valueBytes: number,
    origin: Origin,
    lsn: number | null,
    clock: BatchClock,
    headers?: readonly Header[],
  ): void {
    if (this.#origin !== origin) this.#setOrigin(origin);
    const { relation } = this;
    const keyed = relation.keyColumns.length > 0;
    const keyLength = keyed ? this.#writeKey(must(after ?? before, 'a change has a row'), old) : 0;
    const writer = this.#writerFor(keyLength);
    writer.reserve(this.#fixedBytes + keyLength + 2 * relation.row.bound(valueBytes));
    writer.beginRecord(headers === undefined ? 0 : writer.headerSet(headers), clock.ms);
    const out = writer.bytes;
    let at = writer.cursor;
    if (keyed) {
      for (let i = 0; i < keyLength; i += 1) out[at++] = this.#key[i] as number;
      writer.cursor = at;
      writer.endKey();
    }
    at += KEY_BEFORE.copy(out, at);
    if (before === undefined) at += NULL_TEXT.copy(out, at);
    else at = relation.row.write(before, undefined, out, at);
    at += KEY_AFTER.copy(out, at);
    if (after === undefined) at += NULL_TEXT.copy(out, at);
    else at = relation.row.write(after, old, out, at);
    at += this.#head.copy(out, at, 0, this.#headLength);
    at = writeLsn(lsn ?? origin.previousCommit, out, at);
    at += this.#middle.copy(out, at, 0, this.#middleLength);
    at = writeLsnOrNull(lsn, out, at);
    at = clock.writeTail(OP[op], out, at);
    writer.cursor = at;
    writer.endValue();
    writer.endRecord();
  }

  /** Writes a tombstone for the row's key; without a key too, as Debezium does. */
  writeTombstone(row: Tuple, clock: BatchClock, headers?: readonly Header[]): void {
    const keyed = this.relation.keyColumns.length > 0;
    const keyLength = keyed ? this.#writeKey(row, undefined) : 0;
    const writer = this.#writerFor(keyLength);
    writer.reserve(keyLength + 64);
    writer.beginRecord(headers === undefined ? 0 : writer.headerSet(headers), clock.ms);
    this.#key.copy(writer.bytes, writer.cursor, 0, keyLength);
    writer.cursor += keyLength;
    if (keyed) writer.endKey();
    writer.endRecord();
  }

  /** Writes a truncate, without a key, into every partition: each holds rows that are gone. */
  writeTruncate(origin: Origin, lsn: number, clock: BatchClock): void {
    if (this.#origin !== origin) this.#setOrigin(origin);
    for (const writer of this.#writers) {
      writer.reserve(2 * this.#fixedBytes);
      writer.beginRecord(0, clock.ms);
      const out = writer.bytes;
      let at = writer.cursor;
      at += out.write('{"before":null,"after":null', at, 'latin1');
      at += this.#head.copy(out, at, 0, this.#headLength);
      at = writeLsn(lsn, out, at);
      at += this.#middle.copy(out, at, 0, this.#middleLength);
      at = writeLsnOrNull(lsn, out, at);
      writer.cursor = clock.writeTail(OP.t, out, at);
      writer.endValue();
      writer.endRecord();
    }
  }

  /** The row's key as JSON text, for headers and for telling keys apart; `old` as in `write`. */
  keyText(row: Tuple, old: Tuple | undefined): string {
    const length = this.#writeKey(row, old);
    return this.#key.toString('utf8', 0, length);
  }

  #writeKey(row: Tuple, old: Tuple | undefined): number {
    const { key } = this.relation;
    const bound = key.boundOf(row, old);
    if (bound > this.#key.length) this.#key = Buffer.allocUnsafeSlow(2 * bound);
    return key.write(row, old, this.#key, 0);
  }

  #writerFor(keyLength: number): BlockWriter {
    const count = this.#writers.length;
    if (count === 1) return this.#writers[0] as BlockWriter;
    if (keyLength === 0) return this.#writers[0] as BlockWriter;
    const partition = (murmur2(this.#key, 0, keyLength) & 0x7fff_ffff) % count;
    return this.#writers[partition] as BlockWriter;
  }

  #setOrigin(origin: Origin): void {
    this.#origin = origin;
    const { schema, name } = this.relation.shape;
    const [before, between] = sourceAround(this.#names, origin, schema, name);
    this.#headLength = this.#head.write(before);
    this.#middleLength = this.#middle.write(between);
  }
}

/** The record's `source`, as far as it is the same for all of a transaction: before its LSN in `sequence`, and from there to `lsn`. */
export function sourceAround(
  { prefix, database, version, streamed }: EnvelopeNames,
  origin: Origin,
  schema: string,
  table: string,
): readonly [before: string, between: string] {
  const us = origin.timeUs;
  const snapshot = origin.snapshot === 'false' ? streamed : origin.snapshot;
  const previous = origin.previousCommit === null ? 'null' : `\\"${origin.previousCommit}\\"`;
  return [
    `,"source":{"version":${JSON.stringify(version)},"connector":"postgresql","name":${JSON.stringify(prefix)}` +
      `,"ts_ms":${Math.floor(us / 1000)},"snapshot":${JSON.stringify(snapshot)},"db":${JSON.stringify(database)}` +
      `,"sequence":"[${previous},`,
    `]","ts_us":${us},"ts_ns":${us}000,"schema":${JSON.stringify(schema)},"table":${JSON.stringify(table)}` +
      `,"txId":${origin.txId},"lsn":`,
  ];
}

/** When a batch is encoded: one reading of the clock serves all its records. */
export class BatchClock {
  ms = 0;
  readonly #tail = Buffer.alloc(256);
  #tailLength = 0;
  #opAt = 0;

  set(ms: number): void {
    if (ms === this.ms && this.#tailLength > 0) return;
    this.ms = ms;
    const head = ',"xmin":null,"origin":null,"origin_lsn":null},"transaction":null,"op":"';
    this.#opAt = head.length;
    this.#tailLength = this.#tail.write(
      `${head}c","ts_ms":${ms},"ts_us":${ms}000,"ts_ns":${ms}000000}`,
      'latin1',
    );
  }

  writeTail(op: number, out: Buffer, at: number): number {
    this.#tail[this.#opAt] = op;
    return at + this.#tail.copy(out, at, 0, this.#tailLength);
  }
}

/** The LSN as it stands within `sequence`: `\"123\"`. */
function writeLsn(lsn: number | null, out: Buffer, begin: number): number {
  if (lsn === null) return begin + out.write('null', begin, 'latin1');
  out[begin] = 0x5c;
  out[begin + 1] = 0x22;
  const at = writeDigits(lsn, out, begin + 2);
  out[at] = 0x5c;
  out[at + 1] = 0x22;
  return at + 2;
}

function writeLsnOrNull(lsn: number | null, out: Buffer, at: number): number {
  if (lsn === null) return at + out.write('null', at, 'latin1');
  return writeDigits(lsn, out, at);
}

const E9 = 1_000_000_000;

/** A whole number below 2^53. */
function writeDigits(value: number, out: Buffer, at: number): number {
  if (value < E9) return writeSmall(value, out, at);
  const high = Math.floor(value / E9);
  const next = writeSmall(high, out, at);
  let low = value - high * E9;
  for (let i = next + 8; i >= next; i -= 1) {
    const tenth = (low / 10) | 0;
    out[i] = 48 + low - tenth * 10;
    low = tenth;
  }
  return next + 9;
}

function writeSmall(value: number, out: Buffer, at: number): number {
  let digits = 1;
  for (let bound = 10; value >= bound; bound *= 10) digits += 1;
  let rest = value | 0;
  for (let i = at + digits - 1; i >= at; i -= 1) {
    const tenth = (rest / 10) | 0;
    out[i] = 48 + rest - tenth * 10;
    rest = tenth;
  }
  return at + digits;
}
