import { isDeepStrictEqual } from 'node:util';
import { MillraceError } from '../domain/errors.ts';
import type { Lsn } from '../domain/lsn.ts';
import type { CopyTask, KeyPlace } from '../domain/position.ts';
import { Wakeup } from '../lib/wakeup.ts';
import { TransactionSnapshot } from '../domain/transaction-snapshot.ts';
import type { ChangeSource, CopyStream, Snapshot, Table } from '../ports/change-source.ts';
import type { ChangeEncoder, TouchListener } from './change-encoder.ts';
import type { CopyProgress } from './copy-progress.ts';
import type { EnvelopeEncoder, Origin } from './envelope-encoder.ts';
import type { LogAppender } from './log-appender.ts';
import type { RelationRegistry } from './relation-registry.ts';
import { TouchedKeys } from './touched-keys.ts';

/** Rows of a chunk are held in memory until the stream has caught up with them. */
const MAX_CHUNK_BYTES = 8 << 20;
/** A table that changes under its copy is read again; one that always does is a failure. */
const MAX_REREADS = 10;

/** Rows of one snapshot, waiting for the stream to pass `readableAt`. */
type Chunk = Readonly<{
  task: CopyTask;
  /** Undefined: the table is gone. */
  encoder: EnvelopeEncoder | undefined;
  rows: KeyedRows | UnkeyedRows;
  visible: TransactionSnapshot;
  readableAt: Lsn;
}>;

type KeyedRows = Readonly<{ rows: readonly Buffer[]; isLast: boolean }>;
/** A table without a key has no chunks: its rows, any number, are read in their snapshot when they are due. */
type UnkeyedRows = Readonly<{ snapshot: Snapshot; stream: CopyStream }>;

/**
 * Copies tables in chunks while the stream flows, without writing to the source.
 *
 * A chunk is read in one snapshot; then H is where WAL writing stands. All transactions that the
 * snapshot sees are before H. Once the stream has passed H, rows that a transaction changed which
 * the snapshot does not see are dropped: the stream has told, or will tell, their newer state. That holds
 * also for transactions streamed before the chunk was read, as a commit is in the WAL before it is visible.
 */
export class IncrementalCopy {
  readonly #source: ChangeSource;
  readonly #encoder: ChangeEncoder;
  readonly #relations: RelationRegistry;
  readonly #appender: LogAppender;
  readonly #chunkRows: number;
  readonly #clock: () => number;
  readonly #progress: CopyProgress;
  readonly #touched = new TouchedKeys();
  readonly #wanted = new Wakeup();
  #left: readonly CopyTask[] = [];
  #chunk: Chunk | undefined;
  #onEmitted: (() => void) | undefined;
  #rereads = 0;

  constructor(parts: {
    source: ChangeSource;
    encoder: ChangeEncoder;
    relations: RelationRegistry;
    appender: LogAppender;
    chunkRows: number;
    clock: () => number;
    progress: CopyProgress;
  }) {
    this.#source = parts.source;
    this.#encoder = parts.encoder;
    this.#relations = parts.relations;
    this.#appender = parts.appender;
    this.#chunkRows = parts.chunkRows;
    this.#clock = parts.clock;
    this.#progress = parts.progress;
  }

  get isDone(): boolean {
    return this.#left.length === 0;
  }

  /**
   * Copies these tables too, after those that are left. `recent`: transactions that were streamed
   * before, and that a snapshot may not see yet.
   */
  add(tasks: readonly CopyTask[], recent: readonly number[]): void {
    for (const { oid } of tasks) this.#touched.forget(oid, recent);
    this.#left = [...this.#left, ...tasks];
    if (this.isDone) return;
    this.#encoder.onTouch = this.#onTouch;
    this.#wanted.raise();
  }

  /** Resolves when there is something to copy, or `signal` aborts. */
  async wanted(signal: AbortSignal): Promise<void> {
    while (this.isDone && !signal.aborted) await this.#wanted.wait(signal);
  }

  /** Reads the next chunk; it is to be emitted when `isDue`. Reads none when the table changed meanwhile. */
  async read(signal: AbortSignal): Promise<void> {
    const [task] = this.#left;
    if (task === undefined || this.#chunk !== undefined) return;
    const snapshot = await this.#source.snapshot();
    try {
      this.#chunk = await this.#readChunk(snapshot, task, signal);
    } catch (error) {
      this.#readAgainAfter(error);
    } finally {
      const isHeld = this.#chunk !== undefined && 'snapshot' in this.#chunk.rows;
      if (!isHeld) await snapshot[Symbol.asyncDispose]();
    }
  }

  /** Resolves when there is no chunk to emit, or `signal` aborts. */
  async emitted(signal: AbortSignal): Promise<void> {
    if (this.#chunk === undefined || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmitted = resolve;
    signal.addEventListener('abort', resolve as () => void, { once: true });
    await promise;
    signal.removeEventListener('abort', resolve as () => void);
    this.#onEmitted = undefined;
  }

  /** True when the stream, of which all commits up to `end` are encoded, has passed the chunk. */
  isDue(end: Lsn): boolean {
    return this.#chunk !== undefined && end >= this.#chunk.readableAt;
  }

  /** Encodes the chunk's rows, behind all commits up to `end`. Called outside a transaction; nothing is decoded meanwhile. */
  async emit(end: Lsn, signal: AbortSignal): Promise<void> {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    try {
      if (chunk.encoder === undefined) this.#go(chunk.task, undefined);
      else if (!this.#touched.isForgotten(chunk.task.oid, chunk.visible))
        await this.#encode(chunk, chunk.encoder, end, signal);
      this.#rereads = 0;
    } catch (error) {
      this.#readAgainAfter(error);
    } finally {
      await this.#release();
    }
    if (this.isDone) this.#encoder.onTouch = undefined;
    this.#onEmitted?.();
  }

  /** Ends what a chunk holds that will not be emitted. */
  async stop(): Promise<void> {
    this.#encoder.onTouch = undefined;
    await this.#release();
  }

  readonly #onTouch: TouchListener = (oid, key, xid) => {
    if (this.#left.some((task) => task.oid === oid)) this.#touched.touch(oid, key, xid);
  };

  async #release(): Promise<void> {
    const rows = this.#chunk?.rows;
    this.#chunk = undefined;
    if (rows !== undefined && 'snapshot' in rows) await rows.snapshot[Symbol.asyncDispose]();
  }

  async #readChunk(snapshot: Snapshot, task: CopyTask, signal: AbortSignal): Promise<Chunk> {
    const visible = new TransactionSnapshot(snapshot.visible);
    this.#touched.advance(visible);
    const table = await snapshot.table(task.oid);
    if (table === undefined) {
      const rows = { rows: [], isLast: true };
      return { task, encoder: undefined, rows, visible, readableAt: await this.#passed() };
    }
    const { relation, topic } = await this.#relations.ofCopy(table);
    const encoder = this.#encoder.copyEncoder(relation, topic);
    const rows = await this.#rowsOf(snapshot, table, encoder, task, signal);
    return { task, encoder, rows, visible, readableAt: await this.#passed() };
  }

  async #rowsOf(
    snapshot: Snapshot,
    table: Table,
    { relation }: EnvelopeEncoder,
    { after }: CopyTask,
    signal: AbortSignal,
  ): Promise<KeyedRows | UnkeyedRows> {
    const columns = relation.shape.columns.map(({ name }) => name);
    const orderBy = relation.keyNames;
    if (orderBy.length === 0)
      return { snapshot, stream: snapshot.copy({ table, columns, orderBy }, signal) };
    // In the order of a key that was altered since, the place means nothing.
    const isPlace = after !== undefined && isDeepStrictEqual(after.order, relation.keyOrder);
    const from = isPlace ? { after: after.values } : {};
    const limit = this.#chunkRows;
    return this.#hold(snapshot.copy({ table, columns, orderBy, limit, ...from }, signal), signal);
  }

  async #hold(stream: CopyStream, signal: AbortSignal): Promise<KeyedRows> {
    const rows: Buffer[] = [];
    let bytes = 0;
    for await (const piece of stream) {
      for (const row of eachRow(piece)) rows.push(Buffer.from(row));
      bytes += piece.length;
      if (bytes > MAX_CHUNK_BYTES) return { rows, isLast: false };
    }
    signal.throwIfAborted(); // what was cut short must not look like the end
    return { rows, isLast: rows.length < this.#chunkRows };
  }

  /** Whatever a snapshot that was taken before sees is before it. */
  #passed(): Promise<Lsn> {
    return this.#source.walInsertLsn();
  }

  async #encode(
    chunk: Chunk,
    encoder: EnvelopeEncoder,
    end: Lsn,
    signal: AbortSignal,
  ): Promise<void> {
    this.#encoder.clock.set(this.#clock());
    const timeUs = this.#clock() * 1000;
    const previousCommit = Number(end);
    const origin: Origin = { timeUs, txId: null, previousCommit, snapshot: 'incremental' };
    if ('snapshot' in chunk.rows) {
      for await (const piece of chunk.rows.stream) {
        for (const row of eachRow(piece)) this.#encodeRow(chunk, encoder, row, origin);
        await this.#appender.room();
      }
      signal.throwIfAborted();
      this.#go(chunk.task, undefined);
      return;
    }
    const { rows, isLast } = chunk.rows;
    const after = (): KeyPlace | undefined => this.#encoder.lastPlace(encoder.relation);
    // What is encoded and what is left must never differ across an await: an append may come there.
    for (const row of rows) {
      this.#encodeRow(chunk, encoder, row, origin);
      if (!this.#appender.isFull) continue;
      this.#go(chunk.task, after());
      await this.#appender.room();
    }
    this.#go(chunk.task, isLast ? undefined : after());
  }

  /** Encodes the row, or drops it; either way it is the encoder's last. */
  #encodeRow(chunk: Chunk, encoder: EnvelopeEncoder, row: Buffer, origin: Origin): void {
    const { oid } = chunk.task;
    if (this.#touched.has(oid)) {
      const key = this.#encoder.readKey(encoder, Buffer.from(row));
      if (this.#touched.isNewer(oid, key, chunk.visible)) return;
    }
    this.#encoder.copiedRow(encoder, row, 0, origin, null);
    this.#progress.rows(chunk.task, 1);
  }

  /** What is left now: the task from behind `after` on, or without one the tasks behind it. */
  #go(task: CopyTask, after: KeyPlace | undefined): void {
    const [, ...others] = this.#left;
    this.#left = after === undefined ? others : [{ ...task, after }, ...others];
    this.#progress.left(this.#left);
  }

  #readAgainAfter(error: unknown): void {
    const isChange = error instanceof MillraceError && error.code === 'table_changed';
    if (!isChange || this.#rereads >= MAX_REREADS) throw error;
    this.#rereads += 1;
  }
}

function* eachRow(chunk: Buffer): Iterable<Buffer> {
  for (let at = 0; at < chunk.length;) {
    const next = chunk.indexOf(0x0a, at) + 1;
    yield chunk.subarray(at, next);
    at = next;
  }
}
