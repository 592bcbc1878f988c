import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import {
  countOf,
  decodeBlock,
  latestTimestampOf,
  type LogRecord,
  type RecordBlock,
} from '../../domain/record-block.ts';
import type { TopicDeclaration, TopicPartition } from '../../ports/event-log.ts';
import {
  asLogError,
  closeEnvironment,
  openEnvironment,
  type LogDatabase,
  type LogKey,
} from './log-environment.ts';
import { refuseDamaged, removeFiles } from './log-file.ts';

/** Changes whenever a file written before cannot be read any more. */
const FORMAT_VERSION = 1;

// Of many small blocks as many as fill this are read in one go; a larger block is read alone.
const READ_BYTES = 256 * 1024;
const READ_BLOCKS = 64;

// After every string that a key holds.
const LAST_STRING = '\u{10ffff}';

export type ProducerState = Readonly<{ epoch: number; position?: string | undefined }>;

/** `latestMs`: the latest timestamp of all records that ever were before `end`. */
export type End = Readonly<{ end: number; latestMs: number }>;

type Sealed = Readonly<{ atMs: number }>;
type Format = Readonly<{ version: number; createdMs: number }>;

/**
 * One file of the log, which holds all topics for a while.
 *
 *   ['format']                                     -> { version, createdMs }
 *   ['sealed']                                     -> { atMs }; nothing is appended any more
 *   ['topic', name]                                -> its declaration
 *   ['producer', name]                             -> { epoch, position }
 *   ['base', topic, partition]                     -> the first offset that is not in older segments; absent: 0
 *   ['end', topic, partition]                      -> the offset of the next record, the latest timestamp
 *   ['block', topic, partition, last, latest]      -> the encoded block, as it was appended
 *   ['kept', topic, partition, last, latest]       -> of a compacted topic, records from older segments:
 *                                                     their offsets (f64 each), then the block
 *
 * A block's key is its last offset, so that the first key at or after an offset is the block that
 * holds it; `latest` is the latest timestamp of all records up to and with this block, so that it
 * only grows and a time can be searched for.
 */
export class LogSegment {
  readonly number: number;
  readonly file: string;
  readonly createdMs: number;
  readonly #db: LogDatabase;
  readonly #bases = new Map<string, number>();
  #sealed: Sealed | undefined;

  private constructor(number: number, file: string, db: LogDatabase, createdMs: number) {
    this.number = number;
    this.file = file;
    this.#db = db;
    this.createdMs = createdMs;
  }

  static fileOf(dir: string, number: number): string {
    return join(dir, `${String(number).padStart(10, '0')}.mdb`);
  }

  /** Undefined: there is no such file (any more). */
  static async open(
    dir: string,
    number: number,
    mapBytes: number,
  ): Promise<LogSegment | undefined> {
    const file = LogSegment.fileOf(dir, number);
    const before = statSync(file, { throwIfNoEntry: false });
    if (before === undefined) return undefined;
    refuseDamaged(file);
    const db = openEnvironment(file, mapBytes);
    try {
      const format = json<Format>(db.get(['format']));
      if (format === undefined) {
        if (statSync(file, { throwIfNoEntry: false })?.ino === before.ino) {
          throw new MillraceError('log_corrupt', { file, found: 'not a segment of a log' });
        }
        // Retention removed the file between our two looks; LMDB then made a new, empty one.
        removeFiles(file);
        await closeEnvironment(file);
        return undefined;
      }
      if (format.version !== FORMAT_VERSION) {
        throw new MillraceError('data_dir_version', {
          file,
          expected: FORMAT_VERSION,
          found: format.version,
        });
      }
      return new LogSegment(number, file, db, format.createdMs);
    } catch (error) {
      await closeEnvironment(file);
      throw asLogError(error, file);
    }
  }

  /**
   * Makes a segment that is complete when this returns. `fill` writes what it begins with. A file
   * of that name is what a crash left of an attempt: nothing refers to it.
   */
  static create(
    file: string,
    number: number,
    mapBytes: number,
    nowMs: number,
    fill: (segment: LogSegment) => void = () => {},
  ): LogSegment {
    removeFiles(file);
    const db = openEnvironment(file, mapBytes);
    const segment = new LogSegment(number, file, db, nowMs);
    try {
      db.transactionSync(() => {
        fill(segment);
        db.putSync(['format'], encoded({ version: FORMAT_VERSION, createdMs: nowMs }));
      });
      return segment;
    } catch (error) {
      void segment.close();
      throw asLogError(error, file);
    }
  }

  /** Runs `body` as one transaction: it sees the newest state, and an error undoes all of it. */
  async write<T>(body: () => T, bytes = 0): Promise<T> {
    try {
      return await this.#db.childTransaction(body);
    } catch (error) {
      // A failed commit carries its reason in a second promise.
      const reason = (error as { commitError?: Promise<unknown> }).commitError;
      throw asLogError(await (reason?.catch((cause: unknown) => cause) ?? error), this.file, bytes);
    }
  }

  /** Makes reads outside of a transaction see what other threads have committed by now. */
  refresh(): void {
    this.#db.resetReadTxn();
  }

  get sealed(): Sealed | undefined {
    return (this.#sealed ??= json<Sealed>(this.#db.get(['sealed'])));
  }

  seal(atMs: number): void {
    this.#put(['sealed'], encoded({ atMs } satisfies Sealed));
  }

  topic(name: string): TopicDeclaration | undefined {
    return json<TopicDeclaration>(this.#db.get(['topic', name]));
  }

  topics(): TopicDeclaration[] {
    return this.#values<TopicDeclaration>('topic').map(([, value]) => value);
  }

  putTopic(declaration: TopicDeclaration): void {
    this.#put(['topic', declaration.name], encoded(declaration));
  }

  producer(name: string): ProducerState | undefined {
    return json<ProducerState>(this.#db.get(['producer', name]));
  }

  producers(): [name: string, state: ProducerState][] {
    return this.#values<ProducerState>('producer');
  }

  putProducer(name: string, state: ProducerState): void {
    this.#put(['producer', name], encoded(state));
  }

  end({ topic, partition }: TopicPartition): End {
    const bytes = this.#db.get(['end', topic, partition]);
    if (bytes === undefined) return { end: 0, latestMs: -Infinity };
    return { end: bytes.readDoubleLE(0), latestMs: bytes.readDoubleLE(8) };
  }

  /** Starts a partition where the segment before ended. */
  continue({ topic, partition }: TopicPartition, { end, latestMs }: End): void {
    this.#put(['base', topic, partition], floats(end));
    this.#put(['end', topic, partition], floats(end, latestMs));
  }

  base({ topic, partition }: TopicPartition): number {
    const id = `${topic}/${partition}`;
    const known = this.#bases.get(id);
    if (known !== undefined) return known;
    const base = this.#db.get(['base', topic, partition])?.readDoubleLE(0) ?? 0;
    this.#bases.set(id, base);
    return base;
  }

  append({ topic, partition, count, bytes }: RecordBlock): void {
    if (count === 0) return;
    const before = this.end({ topic, partition });
    const end = before.end + count;
    const latestMs = Math.max(before.latestMs, latestTimestampOf(bytes));
    this.#put(['block', topic, partition, end - 1, latestMs], bytes);
    this.#put(['end', topic, partition], floats(end, latestMs));
  }

  /** Stores records of older segments, whose offsets have gaps. */
  keep(offsets: readonly number[], { topic, partition, bytes }: RecordBlock): void {
    const last = offsets.at(-1) ?? 0;
    const latestMs = latestTimestampOf(bytes);
    this.#put(
      ['kept', topic, partition, last, latestMs],
      Buffer.concat([floats(...offsets), bytes]),
    );
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

  sizeBytes(): number {
    return statSync(this.file, { throwIfNoEntry: false })?.size ?? 0;
  }

  get exists(): boolean {
    return existsSync(this.file);
  }

  removeFiles(): void {
    removeFiles(this.file);
  }

  close(): Promise<void> {
    return closeEnvironment(this.file);
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
      const bytes = this.#db.getBinary([...key]);
      if (bytes === undefined) continue;
      if (size > 0 && size + bytes.length > READ_BYTES) break;
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

  #values<T>(kind: string): [name: string, value: T][] {
    const range = [...this.#db.getRange({ start: [kind], end: [kind, LAST_STRING] })];
    return range.map(({ key, value }) => [String(key[1]), JSON.parse(value.toString()) as T]);
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

function floats(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  for (const [index, value] of values.entries()) bytes.writeDoubleLE(value, index * 8);
  return bytes;
}

function encoded(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function json<T>(bytes: Buffer | undefined): T | undefined {
  return bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as T);
}
