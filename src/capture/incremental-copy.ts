import type { Lsn } from '../domain/lsn.ts';
import type { CopyTask } from '../domain/position.ts';
import { TransactionSnapshot } from '../domain/transaction-snapshot.ts';
import type { ChangeSource, CopyStream, Snapshot } from '../ports/change-source.ts';
import type { ChangeEncoder } from './change-encoder.ts';
import type { CopyProgress } from './copy-progress.ts';
import type { EnvelopeEncoder, Origin } from './envelope-encoder.ts';
import type { LogAppender } from './log-appender.ts';
import type { RelationRegistry } from './relation-registry.ts';

/** Rows of a chunk are held in memory until the stream has caught up with them. */
const MAX_CHUNK_BYTES = 8 << 20;

/** Rows of one snapshot, waiting for the stream to pass `readableAt`. */
type Chunk = Readonly<{
  task: CopyTask;
  /** Undefined: the table is gone. */
  encoder: EnvelopeEncoder | undefined;
  /** Rows of a table without a key are read only when they are due: there may be any number. */
  rows: readonly Buffer[] | CopyStream;
  isLast: boolean;
  visible: TransactionSnapshot;
  readableAt: Lsn;
  snapshot: Snapshot;
  signal: AbortSignal;
}>;

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
  readonly #touched = new Map<number, Map<string | undefined, number>>();
  #left: readonly CopyTask[];
  #chunk: Chunk | undefined;
  #onEmitted: (() => void) | undefined;

  constructor(parts: {
    source: ChangeSource;
    encoder: ChangeEncoder;
    relations: RelationRegistry;
    appender: LogAppender;
    tasks: readonly CopyTask[];
    chunkRows: number;
    clock: () => number;
    progress: CopyProgress;
  }) {
    this.#source = parts.source;
    this.#encoder = parts.encoder;
    this.#relations = parts.relations;
    this.#appender = parts.appender;
    this.#left = parts.tasks;
    this.#chunkRows = parts.chunkRows;
    this.#clock = parts.clock;
    this.#progress = parts.progress;
    parts.encoder.onTouch = (oid, key, xid) => this.#touch(oid, key, xid);
  }

  get isDone(): boolean {
    return this.#left.length === 0;
  }

  /** Reads the next chunk; it is to be emitted when `isDue`. */
  async read(signal: AbortSignal): Promise<void> {
    const [task] = this.#left;
    if (task === undefined || this.#chunk !== undefined) return;
    const snapshot = await this.#source.snapshot();
    try {
      this.#chunk = await this.#readChunk(snapshot, task, signal);
    } finally {
      if (this.#chunk === undefined) await snapshot[Symbol.asyncDispose]();
    }
  }

  /** Resolves when there is no chunk to emit, or `signal` aborts. */
  async emitted(signal: AbortSignal): Promise<void> {
    if (this.#chunk === undefined || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmitted = resolve;
    signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
    this.#onEmitted = undefined;
  }

  /** True when the stream, of which all commits up to `end` are encoded, has passed the chunk. */
  isDue(end: Lsn): boolean {
    return this.#chunk !== undefined && end >= this.#chunk.readableAt;
  }

  /** Encodes the chunk's rows. Called outside a transaction; nothing is decoded meanwhile. */
  async emit(): Promise<void> {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    await using _ = chunk.snapshot;
    const [, ...others] = this.#left;
    let after = chunk.task.after;
    if (chunk.encoder !== undefined) after = await this.#encodeRows(chunk, chunk.encoder);
    this.#left =
      chunk.isLast || after === undefined ? others : [{ ...chunk.task, after }, ...others];
    this.#progress.left(this.#left);
    this.#chunk = undefined;
    this.#onEmitted?.();
    this.#forget(chunk.visible);
    if (this.isDone) this.#encoder.onTouch = undefined;
  }

  /** Ends the snapshot of a chunk that will not be emitted. */
  async stop(): Promise<void> {
    this.#encoder.onTouch = undefined;
    await this.#chunk?.snapshot[Symbol.asyncDispose]();
  }

  async #readChunk(snapshot: Snapshot, task: CopyTask, signal: AbortSignal): Promise<Chunk> {
    const visible = new TransactionSnapshot(snapshot.visible);
    const table = await snapshot.table(task.oid);
    const base = { task, visible, snapshot, signal, encoder: undefined, rows: [], isLast: true };
    if (table === undefined) return { ...base, readableAt: await this.#source.walInsertLsn() };
    const { relation, topic } = await this.#relations.ofCopy(table);
    const encoder = this.#encoder.copyEncoder(relation, topic);
    const hasKey = table.primaryKey.length > 0;
    const rows = snapshot.copy(
      {
        table,
        columns: relation.shape.columns.map(({ name }) => name),
        orderBy: table.primaryKey,
        ...(hasKey && { limit: this.#chunkRows }),
        ...(hasKey && task.after !== undefined && { after: task.after }),
      },
      signal,
    );
    const read = hasKey ? await this.#hold(rows, signal) : { rows, isLast: true };
    return { ...base, encoder, ...read, readableAt: await this.#source.walInsertLsn() };
  }

  async #hold(
    stream: CopyStream,
    signal: AbortSignal,
  ): Promise<{ rows: Buffer[]; isLast: boolean }> {
    const rows: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of stream) {
      for (const row of rowsOf(chunk)) rows.push(Buffer.from(row));
      bytes += chunk.length;
      if (bytes > MAX_CHUNK_BYTES) return { rows, isLast: false };
    }
    signal.throwIfAborted(); // what was cut short must not look like the end
    return { rows, isLast: rows.length < this.#chunkRows };
  }

  /** Returns the key behind which the copy goes on: the last row's, whether it was dropped or not. */
  async #encodeRows(
    chunk: Chunk,
    encoder: EnvelopeEncoder,
  ): Promise<readonly string[] | undefined> {
    this.#encoder.clock.set(this.#clock());
    const timeUs = this.#clock() * 1000;
    const origin: Origin = { timeUs, txId: null, previousCommit: null, snapshot: 'incremental' };
    const touched = this.#touched.get(encoder.relation.shape.oid);
    const isNewer = (key: string | undefined): boolean => {
      const xid = touched?.get(key);
      return xid !== undefined && !chunk.visible.sees(xid);
    };
    const [, ...others] = this.#left;
    const isTruncated = isNewer(undefined);
    let after: readonly string[] | undefined;
    for await (const piece of chunk.rows) {
      for (const row of rowsOf(piece)) {
        const key = this.#encoder.readKey(encoder, Buffer.from(row));
        after = key.columns;
        if (isTruncated || isNewer(key.text)) continue;
        this.#encoder.copiedRow(encoder, Buffer.from(row), 0, origin, null);
        this.#progress.rows(chunk.task, 1);
        if (!this.#appender.isFull) continue;
        if (after.length > 0) this.#progress.left([{ ...chunk.task, after }, ...others]);
        await this.#appender.room();
      }
    }
    chunk.signal.throwIfAborted();
    return after;
  }

  #touch(oid: number, key: string | undefined, xid: number): void {
    if (!this.#left.some((task) => task.oid === oid)) return;
    const keys = this.#touched.get(oid) ?? new Map<string | undefined, number>();
    this.#touched.set(oid, keys);
    keys.set(key, xid);
  }

  /** What a snapshot sees, later snapshots see too. */
  #forget(visible: TransactionSnapshot): void {
    for (const [oid, keys] of this.#touched) {
      for (const [key, xid] of keys) if (visible.sees(xid)) keys.delete(key);
      if (keys.size === 0) this.#touched.delete(oid);
    }
  }
}

function* rowsOf(chunk: Buffer): Iterable<Buffer> {
  for (let at = 0; at < chunk.length;) {
    const next = chunk.indexOf(0x0a, at) + 1;
    yield chunk.subarray(at, next);
    at = next;
  }
}
