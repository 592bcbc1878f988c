import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import type { TopicDeclaration } from '../../ports/event-log.ts';
import {
  asLogError,
  closeEnvironment,
  LAST_STRING,
  openEnvironment,
  transact,
  type LogDatabase,
  type LogKey,
} from './log-environment.ts';
import { refuseFullDisk } from './free-space.ts';
import { refuseDamaged, removeFiles } from './log-file.ts';
import { LogRecords } from './log-records.ts';
import { throughGate } from './transaction-gate.ts';

/** Changes whenever a file written before cannot be read any more. */
const FORMAT_VERSION = 1;

export type ProducerState = Readonly<{ epoch: number; position?: string | undefined }>;

type Sealed = Readonly<{ atMs: number }>;
type Format = Readonly<{ version: number; createdMs: number }>;

const MAX_SYNC_BYTES = 64 * 1024;

/**
 * One file of the log, which holds all topics for a while.
 *
 *   ['format']                                     -> { version, createdMs }
 *   ['sealed']                                     -> { atMs }; nothing is appended any more
 *   ['topic', name]                                -> its declaration
 *   ['producer', name]                             -> { epoch, position }
 *
 * and its records, as LogRecords tells.
 */
export class LogSegment {
  readonly number: number;
  readonly file: string;
  readonly createdMs: number;
  readonly #db: LogDatabase;
  readonly records: LogRecords;
  #sealed: Sealed | undefined;

  private constructor(number: number, file: string, db: LogDatabase, createdMs: number) {
    this.number = number;
    this.file = file;
    this.#db = db;
    this.records = new LogRecords(db);
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
      const format: Format = { version: FORMAT_VERSION, createdMs: nowMs };
      throughGate(() =>
        db.transactionSync(() => {
          fill(segment);
          db.putSync(['format'], encoded(format));
        }),
      );
      return segment;
    } catch (error) {
      void segment.close();
      throw asLogError(error, file);
    }
  }

  /**
   * Runs `body` as one transaction: it sees the newest state, and an error undoes all of it.
   *
   * A small one is made and flushed on this thread: the way to LMDB's own thread and back costs
   * more than its flush, a millisecond of a change's two. A large one leaves this thread free,
   * as does one that shall be made `isAside`.
   */
  async write<T>(
    body: () => T,
    { bytes = 0, isAside = bytes > MAX_SYNC_BYTES }: { bytes?: number; isAside?: boolean } = {},
  ): Promise<T> {
    refuseFullDisk(this.file, bytes);
    try {
      return await transact(this.#db, body, isAside);
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

  #values<T>(kind: string): [name: string, value: T][] {
    const range = [...this.#db.getRange({ start: [kind], end: [kind, LAST_STRING] })];
    return range.map(({ key, value }) => [String(key[1]), JSON.parse(value.toString()) as T]);
  }

  #put(key: LogKey, value: Uint8Array): void {
    this.#db.putSync([...key], value as Buffer);
  }
}

function encoded(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function json<T>(bytes: Buffer | undefined): T | undefined {
  return bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as T);
}
