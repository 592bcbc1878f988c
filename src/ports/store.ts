/** Offsets by `topic-partition`: the next record that the task has not yet taken into account. */
export type TaskOffsets = Readonly<Record<string, number>>;

/** A change to one key of a task's state; `undefined` removes it. */
export type StateWrite = readonly [key: string, value: string | undefined];

/**
 * A change to the keys that are served to readers. All but `put` and `delete` commute, so several
 * tasks may write the same key with them.
 *
 * Only `put` gives an expiry, and one without it takes the old one away. A key past its expiry does
 * not exist for readers. The other operations refuse a key that has an expiry, so that what a
 * commit does never depends on the clock.
 */
export type ServedWrite =
  /** Replaces any string; refused on a set. */
  | Readonly<{ op: 'put'; key: string; value: string; expiresAtMs?: number }>
  /** Of whatever type; an absent key is fine. */
  | Readonly<{ op: 'delete'; key: string }>
  /**
   * Adds an exact decimal, such as "-12.50", to a string that is one; an absent key is 0. The sum
   * is a string without exponent or trailing zeros, and stays when it is 0.
   */
  | Readonly<{ op: 'add'; key: string; amount: string }>
  | Readonly<{ op: 'setAdd'; key: string; member: string }>
  /** A set without members does not exist. */
  | Readonly<{ op: 'setRemove'; key: string; member: string }>;

/**
 * Records that a task put out, waiting to be appended to the log: some encoded bytes, which are not
 * the store's to understand, by their number.
 */
export type Outgoing = Readonly<{ sequence: number; chunk: Uint8Array }>;

export type Commit = Readonly<{
  task: string;
  /** What the stored offsets must be for the commit to apply; `{}` for a task that never committed. */
  from: TaskOffsets;
  to: TaskOffsets;
  state: readonly StateWrite[];
  served: readonly ServedWrite[];
  /** Chunks of records, in the order in which they are to be appended. */
  outgoing: readonly Uint8Array[];
}>;

export type ServedValue =
  | Readonly<{ type: 'string'; value: string; expiresAtMs?: number }>
  /** Members in the order of their UTF-8 bytes. */
  | Readonly<{ type: 'set'; members: readonly string[] }>;

/**
 * The state of tasks and the keys served to readers, moved on together by one commit.
 *
 * Contract, checked for every adapter by `test/contracts/store.ts`:
 * - A commit applies whole, or not at all; when it resolves, every later read sees it.
 * - It applies only if the stored offsets are `from`; else it rejects with `commit_conflict`, so
 *   that a zombie, or a store that lost its last commits, is noticed.
 * - Commits may be lost by a power cut, newest first, never in part: the task rewinds.
 * - Writes of one commit to the same key apply in their order.
 * - State never expires by clock. Keys are ordered by their UTF-8 bytes.
 * - Keys and set members have at most `MAX_STORE_KEY_BYTES`; a longer one rejects the commit with
 *   `store_key_too_long`. They and the values are well-formed Unicode.
 * - Outgoing chunks keep their order and that of the commits; they stay until `forwarded` drops them.
 * - An operation on a key of another type (`add` on a set) rejects the commit with
 *   `served_write_refused`, which names the key.
 * - One commit of a task at a time, and any number of tasks; of several from the same `from`,
 *   one applies.
 */
export interface Store extends AsyncDisposable {
  commit(commit: Commit): Promise<void>;

  /** `{}` for a task that never committed. */
  offsets(task: string): Promise<TaskOffsets>;
  /** Names of the tasks that ever committed, in the order of their UTF-8 bytes. */
  tasks(): Promise<readonly string[]>;

  /** Values of state keys, in the order asked; undefined where there is none. */
  getMany(task: string, keys: readonly string[]): Promise<readonly (string | undefined)[]>;
  /** State entries whose key starts with `prefix`, in key order. Commits made meanwhile may or may not be seen. */
  range(
    task: string,
    prefix: string,
    options?: Readonly<{ limit?: number; reverse?: boolean }>,
  ): AsyncIterable<readonly [key: string, value: string]>;

  /**
   * Chunks put out and not yet forwarded, oldest first: as many as there are in `maxBytes`, and at
   * least one. Sequence numbers start at 1 and grow by one a chunk, over `dropTask` too. A store that
   * lost commits gives the same numbers again, maybe to other chunks: so a number tells where a
   * chunk is, not whether it was appended.
   */
  outgoing(task: string, maxBytes: number): Promise<readonly Outgoing[]>;
  /**
   * Drops the outgoing chunks up to and including `last`, which `outgoing` gave; none when there is
   * another chunk at its number, or none.
   */
  forwarded(task: string, last: Outgoing): Promise<void>;

  /** Served keys, as readers see them. `nowMs` decides what has expired. */
  get(key: string, nowMs: number): Promise<ServedValue | undefined>;
  /** Keys that start with `prefix`, in byte order, those after `after` first. */
  keys(
    prefix: string,
    nowMs: number,
    options?: Readonly<{ limit?: number; after?: string }>,
  ): AsyncIterable<string>;

  /** Removes expired keys, a bounded number a call; returns how many. Reads never see them anyway. */
  sweep(nowMs: number): Promise<number>;

  /**
   * Removes all that this task stored, its offsets included (for a rebuild). Served keys stay. When
   * it is cut short, the task has no offsets; call it again before the task commits.
   */
  dropTask(task: string): Promise<void>;

  /** Bytes that the store takes, where it can tell. */
  sizeBytes(): Promise<number | undefined>;
}
