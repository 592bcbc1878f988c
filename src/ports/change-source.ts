import type { Lsn } from '../domain/lsn.ts';

/** A column as the catalogue, or a relation message, describes it. */
export type Column = Readonly<{ name: string; typeOid: number; typeModifier: number }>;

export type ReplicaIdentity = 'default' | 'nothing' | 'full' | 'index';

export type Table = Readonly<{
  oid: number;
  schema: string;
  name: string;
  columns: readonly (Column & { typeName: string; isGenerated: boolean })[];
  /** Names of the primary key's columns, in key order; empty without one. */
  primaryKey: readonly string[];
  /**
   * Without a primary key, the columns of the first unique index, by name, that tells all rows apart
   * (no nulls, no expressions, no condition), in its order; empty without one.
   */
  uniqueKey: readonly string[];
  replicaIdentity: ReplicaIdentity;
  /**
   * Names of the columns that the WAL marks as identifying a row: of the primary key, or of the
   * index that the replica identity names; empty when the identity is full, nothing, or unusable.
   */
  identityColumns: readonly string[];
  /** From the planner's statistics; -1 when never analysed. */
  estimatedRows: number;
  /** A partition or partitioned table, told apart because their rows are copied by the leaves. */
  kind: 'table' | 'partitioned';
}>;

export type SourceIdentity = Readonly<{
  /** Of the cluster; changes when a server is made anew. */
  systemId: string;
  timeline: number;
  database: string;
  /** Such as 180004. */
  serverVersion: number;
  /** Where WAL writing stands now. */
  walEnd: Lsn;
}>;

export type Slot = Readonly<{
  plugin: string;
  database: string;
  active: boolean;
  /** Changes before it are gone for this slot. */
  confirmedFlush: Lsn | undefined;
  restartLsn: Lsn | undefined;
  walStatus: 'reserved' | 'extended' | 'unreserved' | 'lost' | undefined;
  /** Bytes of WAL that the server keeps for it. */
  retainedBytes: number | undefined;
  /** Bytes of WAL that it has not confirmed. */
  lagBytes: number | undefined;
}>;

/** Transactions that have an id, and so may be committing. */
export type RunningTransactions = Readonly<{
  /** By the server's clock, ms since the epoch: before it was looked which run. */
  atMs: number;
  /** Of every transaction that had an id by then and has not ended: its WAL may not be written. */
  ids: readonly string[];
}>;

/** Rows in COPY's text format, any number of whole rows a chunk, `\n` after each. */
export type CopyStream = AsyncIterable<Buffer>;

/**
 * Payloads of CopyData messages, in the order received, as views of one buffer: message `i` is
 * `bytes[bounds[2i]] .. bytes[bounds[2i+1]]`, an XLogData ('w') or a primary keepalive ('k').
 * The buffer may be reused once the next batch is asked for.
 * See https://www.postgresql.org/docs/current/protocol-replication.html
 */
export type WalBatch = Readonly<{ bytes: Buffer; bounds: Int32Array; count: number }>;

export interface WalStream extends AsyncDisposable {
  /**
   * Never empty. Throws `source_unreachable` when the connection ends, and `publication_missing`, before
   * anything that comes after, when the server cannot tell what is published.
   */
  batches(signal: AbortSignal): AsyncIterable<WalBatch>;

  /**
   * Tells the server that all before `upTo` is durable, so that it may remove that WAL. Sent
   * soon, and again on a timer even while nobody reads, or the server hangs up. Never goes back.
   */
  confirm(upTo: Lsn): void;
}

/** A snapshot of the database in which tables are read; ends when disposed. */
export interface Snapshot extends AsyncDisposable {
  /** As `pg_current_snapshot()` prints it: xmin:xmax:xip,… */
  readonly visible: string;
  /** The tables as this snapshot sees them. */
  table(oid: number): Promise<Table | undefined>;
  /**
   * Rows of a table, the named columns; by primary key when `orderBy` is not empty, those strictly after `after`
   * (text values of the `orderBy` columns), at most `limit`. Rejects with the signal's reason when it
   * aborts: an end means that all rows came. A copy left before its end ends the snapshot.
   *
   * Rejects with `table_changed`, before the first row, when the table was dropped, renamed, altered or
   * rewritten since the snapshot, and so cannot be read as the snapshot saw it.
   */
  copy(
    query: Readonly<{
      table: Table;
      columns: readonly string[];
      orderBy: readonly string[];
      after?: readonly string[];
      limit?: number;
    }>,
    signal: AbortSignal,
  ): CopyStream;
}

/**
 * A database whose changes can be read: its catalogue, its rows, its write-ahead log.
 *
 * Contract, checked by `test/contracts/change-source.ts`:
 * - `follow(from)` yields every transaction whose commit record ends after `from`, whole, in commit order.
 * - The first snapshot of a new slot sees exactly the transactions that `follow` from its consistent point will not yield.
 * - Nothing is removed from the WAL before it is confirmed.
 */
export interface ChangeSource extends AsyncDisposable {
  identify(): Promise<SourceIdentity>;

  /** Tables that logical replication can follow, system schemas left out, in name order. */
  tables(): Promise<readonly Table[]>;
  /** As today's catalogue knows it; undefined once dropped. */
  table(oid: number): Promise<Table | undefined>;

  /** Creates the publication, or brings it to these tables; `'all'` needs a superuser. Leaves alone what fits. */
  ensurePublication(name: string, tables: 'all' | readonly Table[]): Promise<void>;
  publicationExists(name: string): Promise<boolean>;

  slot(name: string): Promise<Slot | undefined>;
  /**
   * Creates a logical slot for pgoutput and exports the snapshot of its consistent point. The snapshot is
   * usable until disposed; so is the slot's connection. Waits for every transaction that runs now; an
   * abort ends the wait and leaves no slot. Waits for the transactions that run now;
   * an abort ends the wait, rejects with the signal's reason, and leaves no slot behind.
   */
  createSlot(
    name: string,
    options?: Readonly<{ temporary?: boolean; signal?: AbortSignal }>,
  ): Promise<Readonly<{ consistentPoint: Lsn; snapshot: Snapshot }> & AsyncDisposable>;
  dropSlot(name: string): Promise<void>;

  /** A REPEATABLE READ snapshot of now. */
  snapshot(): Promise<Snapshot>;
  /** Where WAL writing stands: all that is visible to anyone now is before it. A stream gets there though nobody writes. */
  walInsertLsn(): Promise<Lsn>;
  /** Those of all databases. One that is not among them has ended, with all its WAL written, or begins later. */
  runningTransactions(): Promise<RunningTransactions>;

  /**
   * Runs a statement that the configuration asks for; nothing else waits for it. Rejects with the signal's reason
   * when it aborts: the statement may run on.
   */
  execute(sql: string, signal: AbortSignal): Promise<void>;

  follow(
    options: Readonly<{ slot: string; publication: string; from: Lsn; messages: boolean }>,
    signal: AbortSignal,
  ): Promise<WalStream>;
}
