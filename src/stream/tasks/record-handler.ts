import type { LogRecord } from '../../domain/record-block.ts';
import type { StateWrite, Store } from '../../ports/store.ts';
import type { TopicPartition } from '../../ports/event-log.ts';
import type { Effects } from './effects.ts';
import type { OnError } from './error-policy.ts';
import type { Failure } from './failure.ts';
import type { StateOverlay } from './state-overlay.ts';

/** A record made ready. */
export type Prepared<Item = unknown> = Readonly<{
  record: LogRecord;
  /** `nothing`: it is passed over, as tombstones are. A truncate is of every key. */
  does: 'nothing' | 'change' | 'truncate';
  /** What it is to the handler; undefined where it does nothing, or could not be made ready. */
  item: Item | undefined;
  failure: Failure | undefined;
}>;

/** Shows one task's records to whoever processes them: all that is done for one is kept, or nothing. */
export interface RecordHandler {
  /**
   * Begins anew with what the store has; it is used until `signal` aborts, or this is called again.
   * Throws `topology_changed` where that is another's.
   */
  load(signal: AbortSignal): Promise<void>;

  /**
   * Asked after `load`: an offset before the stored one to begin at, since what the handler had done
   * with the records from there on is gone.
   */
  beginsAt?(): number | undefined;

  /**
   * Decodes the records, and fetches the state that they will ask for, all at once. Those that
   * `waits` is true of are not attempted, as they are parked, or an earlier one of their order is.
   */
  prepare(
    records: readonly LogRecord[],
    waits: (record: LogRecord) => boolean,
  ): Promise<readonly Prepared[]>;

  /** A promise only where there is something to wait for. Throws what is not the record's failure. */
  attempt(prepared: Prepared): Failure | undefined | Promise<Failure | undefined>;

  /** State to commit with the batch that ends now, beside what the overlay has. */
  seal(): readonly StateWrite[];

  /** What was sealed is in the store. */
  committed(): void;

  /** Elements that came too late for their windows, since it was opened. */
  readonly late?: number;

  /** Where something may wait for event time to pass. */
  readonly timer?: HandlerTimer;
}

export interface HandlerTimer {
  /** The least event time that something waits for. */
  nextMs(): number | undefined;
  /** The event time that has come, and of which the tasks after this one were told. */
  reachedMs(): number;
  /** Nothing before `timeMs` comes any more: does what that makes due, as of this tick. */
  advance(timeMs: number, tick: Readonly<{ after: number; number: number }>): Promise<void>;
}

/** What a handler of one task works with. */
export type HandlerParts = Readonly<{
  task: string;
  partition: TopicPartition;
  store: Store;
  overlay: StateOverlay;
  effects: Effects;
  deadLetterTopic: string;
  /** Of topics that exist. */
  partitionsOf: (topic: string) => number;
  cacheEntries: number;
}>;

/** What runs in the tasks of one processor. */
export interface TaskSubject {
  readonly name: string;
  /** Whose tasks they are; absent for the first. */
  readonly generation?: number;
  readonly topics: readonly string[];
  readonly onError?: OnError;
  /** Topics whose tasks write to this one, of the same processor. */
  upstreamOf(topic: string): readonly string[];
  /** Rows that are copied anew make up for records of this topic that are gone. */
  wantsCopies(topic: string): boolean;
  /** Where ticks of its tasks are kept; undefined where nothing waits for time. */
  readonly tickTopic: string | undefined;
  /**
   * The connector writes this topic: all of the source's changes up to a time are in it, once the
   * connector has come so far. Absent: none.
   */
  isCaptured?(topic: string): boolean;
  open(parts: HandlerParts): RecordHandler;
}
