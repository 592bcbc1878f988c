import type { Change } from '../domain/envelope.ts';
import type { Header } from '../domain/record-block.ts';
import type { ServedWrite } from '../ports/store.ts';
import type { OnError } from './tasks/error-policy.ts';

/** The keyed state of one task. Reads see the task's own writes, committed or not. */
export interface TaskState {
  /** The value of a key that `reads` named for this change, or that `load` fetched or a write set. */
  get(key: string): string | undefined;
  set(key: string, value: string): void;
  delete(key: string): void;
  /** Fetches keys that `reads` could not name beforehand. */
  load(keys: readonly string[]): Promise<void>;
  /** Entries whose key starts with `prefix`, in byte order of the keys, own writes included. */
  range(prefix: string): AsyncIterable<readonly [key: string, value: string]>;
}

/** A record that a task puts out: appended to the log exactly once, after the commit. */
export type OutgoingRecord = Readonly<{
  topic: string;
  partition: number;
  key: string | null;
  value: string | null;
  headers: readonly Header[];
  timestampMs: number;
}>;

/** What a processor may do while it handles one change; all of it is committed with the offset. */
export interface TaskContext {
  /** `<processor>/<topic>-<partition>`. */
  readonly task: string;
  readonly state: TaskState;
  /** Changes keys that readers see. */
  serve(write: ServedWrite): void;
  /**
   * Puts a record out, exactly once. Its header `millrace.id` is stable over replays. Unless given,
   * its partition follows its key as in Kafka, its time is the commit time of the change. A topic
   * that does not exist stops the processor.
   */
  forward(
    record: Pick<OutgoingRecord, 'topic' | 'key' | 'value'> &
      Partial<Pick<OutgoingRecord, 'headers' | 'timestampMs' | 'partition'>>,
  ): void;
}

/**
 * Turns changes into state, served keys and records.
 *
 * One task a topic partition calls it with each change once, in order; it reads no wall clock and
 * no random numbers, so that a replay gives the same. When it throws, the record goes to the dead
 * letters with the error, nothing of what it did for that record is kept, and later records of
 * the same key wait behind it. Records without a key do not wait for each other; behind a truncate
 * that failed, the whole partition waits.
 */
export interface Processor {
  readonly name: string;
  /** Topics it reads. */
  readonly topics: readonly string[];
  /**
   * What the served keys begin with that it alone writes: of these, a rebuild removes what it does
   * not write again.
   */
  readonly serves?: readonly string[];
  /** What becomes of a record on which it throws, where that is not to be a dead letter at once. */
  readonly onError?: OnError;
  /** State keys that `process` will ask for: fetched for a whole batch at once. */
  reads?(change: Change): readonly string[];
  process(change: Change, context: TaskContext): void | Promise<void>;
}
