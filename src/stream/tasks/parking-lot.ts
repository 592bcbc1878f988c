import { MillraceError } from '../../domain/errors.ts';
import type { LogRecord } from '../../domain/record-block.ts';
import type { TopicPartition } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import {
  deadLetter,
  type DeadLetterReason,
  decodeParked,
  encodeParked,
  parkedIn,
  parkedStateKey,
} from './dead-letters.ts';
import type { Effects } from './effects.ts';
import type { Failure } from './failure.ts';
import { groupOf, ParkedKeys, type ParkedGroup } from './parked-keys.ts';
import type { StateOverlay } from './state-overlay.ts';

/**
 * Where records that failed, and those behind them, wait for an operator: in the task's state, so
 * that they come and go in the same commits as their effects, and in copy in the dead-letter topic.
 *
 * Order is kept by key. A record without a key shares no order and is parked alone. A truncate is
 * of every key: when it fails, all that follows in its partition waits behind it; when it succeeds,
 * what was parked before it is dropped, since replayed later it would bring removed rows back.
 */
export class ParkingLot {
  readonly #from: TopicPartition & Readonly<{ processor: string; task: string }>;
  readonly #topic: string;
  readonly #store: Store;
  readonly #overlay: StateOverlay;
  readonly #effects: Effects;
  #keys = new ParkedKeys();

  constructor(options: {
    from: TopicPartition & Readonly<{ processor: string; task: string }>;
    deadLetterTopic: string;
    store: Store;
    overlay: StateOverlay;
    effects: Effects;
  }) {
    this.#from = options.from;
    this.#topic = options.deadLetterTopic;
    this.#store = options.store;
    this.#overlay = options.overlay;
    this.#effects = options.effects;
  }

  get count(): number {
    return this.#keys.count;
  }

  /** Learns what is parked from the store, forgetting what was not committed. */
  async load(): Promise<void> {
    const keys = new ParkedKeys();
    for await (const { group, record } of parkedIn(this.#store, this.#from.task)) {
      keys.add(group, record.offset);
    }
    this.#keys = keys;
  }

  /** Whether this very record is parked. */
  has(record: LogRecord): boolean {
    return this.#keys.has(record);
  }

  /** Whether a record's turn has not come, as it is parked, or one of its order is. */
  waits(record: LogRecord): boolean {
    return this.#keys.waits(record) !== undefined || this.#keys.has(record);
  }

  /** Parks a record whose turn has not come; false where nothing of its order is parked. */
  parkBehind(record: LogRecord): boolean {
    const wait = this.#keys.waits(record);
    if (wait === undefined) return false;
    this.#park(wait.group, record, undefined, { stage: 'order', behind: wait.behind });
    return true;
  }

  park(record: LogRecord, failure: Failure, isTruncate: boolean): void {
    this.#park(groupOf(record, isTruncate), record, failure, failure);
  }

  /** A truncate has succeeded. The dead-letter topic is told how many parked records went with it. */
  truncated(truncate: LogRecord): void {
    const gone = this.#keys.before(truncate.offset);
    if (gone.length === 0) return;
    for (const { group, offset } of gone) this.remove(group, offset);
    this.#putDeadLetter(truncate, { stage: 'truncate', dropped: gone.length });
  }

  /** What an operator's order concerns; see `ParkedKeys.plan`. */
  plan(...order: Parameters<ParkedKeys['plan']>): ReturnType<ParkedKeys['plan']> {
    return this.#keys.plan(...order);
  }

  offsets(group: ParkedGroup): readonly number[] {
    return this.#keys.offsets(group);
  }

  /**
   * Parked records as they were read from the log; only with no commit under way. Rejects with
   * `commit_conflict` where the store has lost them.
   */
  async records(group: ParkedGroup, offsets: readonly number[]): Promise<readonly LogRecord[]> {
    const keys = offsets.map((offset) => parkedStateKey(group, offset));
    const values = await this.#store.getMany(this.#from.task, keys);
    return values.map((value) => {
      if (value === undefined)
        throw new MillraceError('commit_conflict', { task: this.#from.task });
      return decodeParked(value).record;
    });
  }

  /** Its turn is over, by success or by the operator's word. */
  remove(group: ParkedGroup, offset: number): void {
    this.#keys.remove(group, offset);
    this.#overlay.write(parkedStateKey(group, offset), undefined);
    this.#effects.keep();
  }

  /** It failed once more. */
  failedAgain(group: ParkedGroup, record: LogRecord, failure: Failure): void {
    this.#write(group, record, failure);
    this.#effects.keep();
  }

  #park(
    group: ParkedGroup,
    record: LogRecord,
    failure: Failure | undefined,
    reason: DeadLetterReason,
  ): void {
    this.#keys.add(group, record.offset);
    this.#write(group, record, failure);
    this.#putDeadLetter(record, reason);
  }

  #write(group: ParkedGroup, record: LogRecord, failure: Failure | undefined): void {
    const value = encodeParked(group, record, failure);
    this.#overlay.write(parkedStateKey(group, record.offset), value);
  }

  #putDeadLetter(record: LogRecord, reason: DeadLetterReason): void {
    this.#effects.putDeadLetter(deadLetter(record, reason, this.#from), this.#topic, {
      offset: record.offset,
      partition: this.#from.partition,
    });
  }
}
