/** A record on its way out of the platform. */
export type SinkRecord = Readonly<{
  /** The same over restarts and replays, and no other record's: whoever gets it twice can tell. */
  id: string;
  /** In the task's partition. */
  offset: number;
  /** Parsed JSON; text that is none stands for itself. Null: the record has no key. */
  key: unknown;
  /** Records with the same text are of one key, whose order is kept. */
  keyText: string | null;
  /**
   * Parsed JSON; null removes what the key had. A number that a double cannot hold is an opaque
   * value, which `JSON.stringify` writes digit by digit.
   */
  value: unknown;
  timestampMs: number;
}>;

export type SinkBatch = Readonly<{
  /** In the order of their offsets. */
  records: readonly SinkRecord[];
  /** Offsets of records that are not given, since they wait behind others or cannot be read. */
  leftOut: readonly number[];
  /** With this batch, every record before it is taken, refused or left out. Never goes back. */
  next: number;
  /** By which the task will know the log again that `next` counts in. */
  mark: string;
}>;

/** A record that the sink will never take as it is. */
export type SinkRefusal = Readonly<{ offset: number; name: string; message: string }>;

/** What a sink remembers of a task: moved on in the same step as what it takes. */
export type SinkAccount = Readonly<{
  /** Every record before it is taken, but for `leftOut`. */
  next: number;
  mark: string;
  /** Offsets of the records before `next` that are not taken: refused, or left out. */
  leftOut: ReadonlySet<number>;
}>;

/** Writes for one task. One write at a time; after a failure it is disposed of and another is opened. */
export interface SinkWriter extends AsyncDisposable {
  /** As the last write of the task left it; undefined before the first, and in a sink that keeps none. */
  readonly account: SinkAccount | undefined;

  /**
   * Takes the records in their order, and tells those it refuses. Behind one that is refused, the
   * later records of its key in the batch are not taken. A record that a later one of the batch
   * replaces whole may count as taken, unseen. Those taken that were left out before are
   * so no longer. With an account, all of that and the account's move is one step.
   *
   * Rejects with a named failure when what it writes to does not answer or takes nothing at all; when
   * the account was moved by another writer, with `commit_conflict`. An abort may end it early, by
   * rejecting. What then became of the batch is told by the account of the next writer; without one,
   * all of it may have been taken, or any first part.
   */
  write(batch: SinkBatch, signal: AbortSignal): Promise<readonly SinkRefusal[]>;
}

/**
 * Somewhere outside of the platform that results are written to.
 *
 * Contract, checked for every adapter by `test/contracts/sink.ts`:
 * - When `write` resolves, what was not refused is durable there.
 * - A sink that keeps an account takes each record exactly once, whenever the task or the server
 *   dies, and from one writer of a task at a time: the task asks the account what to write.
 * - A sink that keeps none takes each at least once, in order; the record's id tells repetitions.
 * - No password, and nothing of an address but host, port and database, is in any error.
 */
export interface Sink {
  /** Such as `PostgreSQL table analytics.orders`; never a secret. */
  readonly description: string;
  /** Whether its writers have accounts: a task without one has then written nothing that is still there. */
  readonly keepsAccount: boolean;
  /** So many records a write at most: those of a sink without account may be written again. */
  readonly batchRecords: number;
  /** `task` names the account. Rejects as `write` does. */
  open(task: string, signal: AbortSignal): Promise<SinkWriter>;
}
