import { must } from '../lib/must.ts';
import type { KeyPlace } from '../domain/position.ts';
import type { Header } from '../domain/record-block.ts';
import {
  BatchClock,
  EnvelopeEncoder,
  type EnvelopeNames,
  type Origin,
} from './envelope-encoder.ts';
import { jsonBytesOf } from './column-encoder.ts';
import type { RecordBatch } from './record-batch.ts';
import type { Relation } from './relation.ts';
import { textOf, Tuple } from './tuple.ts';
import { DELETE, INSERT, NEW_ROW, OLD_KEY, TRUNCATE, UPDATE } from './wal-message.ts';

export type EncodingOptions = Readonly<{
  names: EnvelopeNames;
  tombstones: boolean;
  /** Operations that are not written, by their letter in the envelope. */
  skipped: ReadonlySet<string>;
  partitionsOf(topic: string): number;
}>;

/** Told of each row of which a streamed change was written, by its key's JSON text; `undefined`: all rows of the table. */
export type TouchListener = (oid: number, key: string | undefined, xid: number) => void;

/**
 * Turns data messages and copied rows into records of a batch. HOT PATH: one message after
 * another, synchronously; what needs the server (an unknown relation) is settled before.
 */
export class ChangeEncoder {
  readonly #options: EncodingOptions;
  readonly #batch: RecordBatch;
  readonly #relations = new Map<number, EnvelopeEncoder>();
  readonly #ignored = new Set<number>();
  readonly #old = new Tuple();
  readonly #new = new Tuple();
  readonly clock = new BatchClock();
  onTouch: TouchListener | undefined;
  /** Records without tombstones, since the start. */
  changes = 0;

  constructor(options: EncodingOptions, batch: RecordBatch) {
    this.#options = options;
    this.#batch = batch;
  }

  /** From now on, changes of this relation are encoded by this shape. */
  define(relation: Relation, topic: string): void {
    const writers = this.#batch.writers(topic, this.#options.partitionsOf(topic));
    this.#ignored.delete(relation.shape.oid);
    this.#relations.set(
      relation.shape.oid,
      new EnvelopeEncoder(relation, this.#options.names, writers),
    );
  }

  /** Changes of this relation are none of ours. */
  ignore(oid: number): void {
    this.#relations.delete(oid);
    this.#ignored.add(oid);
  }

  relation(oid: number): Relation | undefined {
    return this.#relations.get(oid)?.relation;
  }

  /** Encodes the data message at `start`. */
  message(
    tag: number,
    bytes: Buffer,
    start: number,
    end: number,
    origin: Origin,
    lsn: number,
  ): void {
    if (tag === TRUNCATE) return this.#truncate(bytes, start, origin, lsn);
    const oid = bytes.readUInt32BE(start + 1);
    const encoder = this.#relations.get(oid);
    if (encoder === undefined) return this.#expectIgnored(oid);
    const room = jsonBytesOf(bytes, start, end);
    if (tag === INSERT) this.#insert(encoder, bytes, start, room, origin, lsn);
    else if (tag === UPDATE) this.#update(encoder, bytes, start, room, origin, lsn);
    else if (tag === DELETE) this.#delete(encoder, bytes, start, room, origin, lsn);
    return undefined;
  }

  /** Encodes a copied row as COPY's text holds it at `start`, and returns where the next row starts. */
  copiedRow(
    encoder: EnvelopeEncoder,
    bytes: Buffer,
    start: number,
    origin: Origin,
    lsn: number | null,
  ): number {
    const row = this.#new;
    const next = row.readCopy(bytes, start, encoder.relation.shape.columns.length);
    const room = jsonBytesOf(bytes, start, next);
    encoder.write('r', undefined, row, undefined, room, origin, lsn, this.clock);
    this.changes += 1;
    return next;
  }

  /** An encoder for rows of a copy, whose shape is the catalogue's as the copy's snapshot sees it. */
  copyEncoder(relation: Relation, topic: string): EnvelopeEncoder {
    const writers = this.#batch.writers(topic, this.#options.partitionsOf(topic));
    return new EnvelopeEncoder(relation, this.#options.names, writers);
  }

  /** Where the row that was copied, or whose key was read, last stands in the order of its key; undefined without a key. */
  lastPlace(relation: Relation): KeyPlace | undefined {
    if (relation.keyColumns.length === 0) return undefined;
    const values = relation.keyColumns.map((column) =>
      must(textOf(this.#new, column), 'a key is not null'),
    );
    return { order: relation.keyOrder, values };
  }

  /** The key of a copied row as the envelope writes it; empty without one. Resolves escapes in `row`. */
  readKey(encoder: EnvelopeEncoder, row: Buffer): string {
    const { shape, keyColumns } = encoder.relation;
    this.#new.readCopy(row, 0, shape.columns.length);
    return keyColumns.length === 0 ? '' : encoder.keyText(this.#new, undefined);
  }

  #insert(
    encoder: EnvelopeEncoder,
    bytes: Buffer,
    start: number,
    room: number,
    origin: Origin,
    lsn: number,
  ): void {
    if (this.#options.skipped.has('c')) return;
    const row = this.#new;
    row.readWal(bytes, start + 6);
    encoder.write('c', undefined, row, undefined, room, origin, lsn, this.clock);
    this.#wrote(encoder, row, undefined, origin);
  }

  #update(
    encoder: EnvelopeEncoder,
    bytes: Buffer,
    start: number,
    room: number,
    origin: Origin,
    lsn: number,
  ): void {
    const kind = bytes[start + 5];
    let old: Tuple | undefined;
    let at = start + 6;
    if (kind !== NEW_ROW) {
      old = this.#old;
      at = old.readWal(bytes, at) + 1;
    }
    const row = this.#new;
    row.readWal(bytes, at);
    if (old !== undefined && keyChanged(encoder.relation, old, row)) {
      this.#moveKey(encoder, old, row, room, origin, lsn);
      return;
    }
    if (this.#options.skipped.has('u')) return;
    // Debezium leaves `before` out when only the key is known, and it has not changed.
    const before = kind === OLD_KEY ? undefined : old;
    encoder.write('u', before, row, old, room, origin, lsn, this.clock);
    this.#wrote(encoder, row, old, origin);
  }

  /** A changed key is a row that goes and one that comes; headers on both name the other. */
  #moveKey(
    encoder: EnvelopeEncoder,
    old: Tuple,
    row: Tuple,
    room: number,
    origin: Origin,
    lsn: number,
  ): void {
    const { skipped } = this.#options;
    if (!skipped.has('d')) {
      const toNew: Header[] = [['__debezium.newkey', encoder.keyText(row, old)], ...this.#context];
      encoder.write('d', old, undefined, undefined, room, origin, lsn, this.clock, toNew);
      if (this.#options.tombstones) encoder.writeTombstone(old, this.clock, toNew);
      this.#wrote(encoder, old, undefined, origin);
    }
    if (!skipped.has('c')) {
      const toOld: Header[] = [
        ['__debezium.oldkey', encoder.keyText(old, undefined)],
        ...this.#context,
      ];
      encoder.write('c', undefined, row, old, room, origin, lsn, this.clock, toOld);
      this.#wrote(encoder, row, old, origin);
    }
  }

  #delete(
    encoder: EnvelopeEncoder,
    bytes: Buffer,
    start: number,
    room: number,
    origin: Origin,
    lsn: number,
  ): void {
    if (this.#options.skipped.has('d')) return;
    const old = this.#old;
    old.readWal(bytes, start + 6);
    encoder.write('d', old, undefined, undefined, room, origin, lsn, this.clock);
    if (this.#options.tombstones) encoder.writeTombstone(old, this.clock);
    this.#wrote(encoder, old, undefined, origin);
  }

  #truncate(bytes: Buffer, start: number, origin: Origin, lsn: number): void {
    const count = bytes.readUInt32BE(start + 1);
    for (let index = 0; index < count; index += 1) {
      const oid = bytes.readUInt32BE(start + 6 + 4 * index);
      const encoder = this.#relations.get(oid);
      if (encoder === undefined) {
        this.#expectIgnored(oid);
        continue;
      }
      if (this.#options.skipped.has('t')) continue;
      encoder.writeTruncate(origin, lsn, this.clock);
      this.onTouch?.(oid, undefined, origin.txId ?? 0);
      this.changes += 1;
    }
  }

  /** Only what is written counts as touched: a copied row must give way to nothing that is left out. */
  #wrote(encoder: EnvelopeEncoder, row: Tuple, old: Tuple | undefined, origin: Origin): void {
    this.changes += 1;
    const { shape, keyColumns } = encoder.relation;
    if (this.onTouch === undefined || keyColumns.length === 0) return;
    this.onTouch(shape.oid, encoder.keyText(row, old), origin.txId ?? 0);
  }

  #expectIgnored(oid: number): void {
    if (!this.#ignored.has(oid))
      throw new Error(`bug: a change of relation ${oid}, of which nothing is known`);
  }

  get #context(): readonly Header[] {
    return this.#batch.headers;
  }
}

function keyChanged(relation: Relation, old: Tuple, row: Tuple): boolean {
  return relation.keyColumns.some((column) => {
    const oldStart = must(old.starts[column], 'a key column is in the tuple');
    const newStart = must(row.starts[column], 'a key column is in the tuple');
    if (oldStart < 0 || newStart < 0) return false;
    return (
      old.bytes.compare(row.bytes, newStart, row.ends[column], oldStart, old.ends[column]) !== 0
    );
  });
}
