import { isDecimal } from '../../domain/decimal.ts';
import type { Change } from '../../domain/envelope.ts';
import { checkStoreKey } from '../../domain/store-key.ts';
import type { Cause, Commit, OutgoingRecord, ServedWrite } from '../../ports/store.ts';
import type { Partitioner } from './partitioner.ts';
import type { TaskContext, TaskState } from '../processor.ts';
import type { StateOverlay } from './state-overlay.ts';

/** Identifies an outgoing record for its readers: `<task>:<offset of the cause>:<index>`. */
const ID_HEADER = 'millrace.id';

/**
 * What a batch does to the world, collected until its commit. What one record did is kept or
 * undone as one.
 */
export class Effects implements TaskContext {
  readonly task: string;
  readonly state: TaskState;
  readonly #overlay: StateOverlay;
  readonly #partitioner: Partitioner;
  #served: ServedWrite[] = [];
  #outgoing: OutgoingRecord[] = [];
  #change: Change | undefined;
  #keptServed = 0;
  #keptOutgoing = 0;
  #replay: string | undefined;
  #fault: { readonly error: unknown } | undefined;

  constructor(options: { task: string; overlay: StateOverlay; partitioner: Partitioner }) {
    this.task = options.task;
    this.#overlay = options.overlay;
    this.#partitioner = options.partitioner;
    this.state = this.#overlay.forProcessor();
  }

  /** A failure that is not the record's: of the store, or a topic that does not exist. */
  get fault(): { readonly error: unknown } | undefined {
    return this.#fault ?? this.#overlay.fault;
  }

  begin(change: Change): void {
    this.#change = change;
  }

  /** What follows, until the batch ends, is done by this step of an operator's order. */
  beginReplay(step: string): void {
    this.#replay = step;
  }

  serve(write: ServedWrite): void {
    checkStoreKey(write.key);
    if ('member' in write) checkStoreKey(write.member);
    if ('amount' in write && !isDecimal(write.amount)) {
      throw new Error(`the amount added to ${write.key} is not a decimal: ${write.amount}`);
    }
    this.#served.push(write);
  }

  forward(record: Parameters<TaskContext['forward']>[0]): void {
    const change = this.#change;
    if (change === undefined) throw new Error('forward() was called after process() had ended');
    const index = this.#outgoing.length - this.#keptOutgoing;
    this.#put(
      {
        key: record.key,
        value: record.value,
        headers: record.headers ?? [],
        timestampMs: record.timestampMs ?? change.source.ts_ms,
      },
      record.topic,
      { offset: change.offset, partition: change.partition, index: String(index) },
      record.partition,
    );
  }

  /** Puts out what is no processor's doing, as part of what is kept. */
  putDeadLetter(
    record: Omit<OutgoingRecord, 'topic' | 'partition' | 'cause'>,
    topic: string,
    cause: Readonly<{ offset: number; partition: number }>,
  ): void {
    this.#put(record, topic, { ...cause, index: 'dead-letter' });
    this.keep();
  }

  keep(): void {
    this.#change = undefined;
    this.#keptServed = this.#served.length;
    this.#keptOutgoing = this.#outgoing.length;
    this.#overlay.keep();
  }

  undo(): void {
    this.#change = undefined;
    this.#served.length = this.#keptServed;
    this.#outgoing.length = this.#keptOutgoing;
    this.#overlay.undo();
  }

  /** Ends the batch: all that was kept, which the caller commits now. */
  seal(): Pick<Commit, 'state' | 'served' | 'outgoing'> {
    const sealed = {
      state: this.#overlay.seal(),
      served: this.#served,
      outgoing: this.#outgoing,
    };
    this.#clear();
    return sealed;
  }

  /** Forgets all that was not committed. */
  reset(): void {
    this.#clear();
    this.#fault = undefined;
    this.#overlay.reset();
  }

  #clear(): void {
    this.#change = undefined;
    this.#replay = undefined;
    this.#served = [];
    this.#outgoing = [];
    this.#keptServed = 0;
    this.#keptOutgoing = 0;
  }

  #put(
    record: Omit<OutgoingRecord, 'topic' | 'partition' | 'cause'>,
    topic: string,
    cause: Readonly<{ offset: number; partition: number; index: string }>,
    askedPartition?: number,
  ): void {
    const id = `${this.task}:${cause.offset}:${cause.index}`;
    this.#outgoing.push({
      cause: this.#nextCause(cause.offset),
      ...record,
      topic,
      partition: this.#partitionOf(topic, record.key, cause.partition, askedPartition),
      headers: [...record.headers, [ID_HEADER, id]],
    });
  }

  // The records of one offset are in one batch, those of one step too.
  #nextCause(offset: number): Cause {
    const last = this.#outgoing.at(-1)?.cause;
    const replay = this.#replay;
    if (replay !== undefined) {
      return { replay, index: last === undefined ? 0 : last.index + 1 };
    }
    const isSame = last !== undefined && 'offset' in last && last.offset === offset;
    return { offset, index: isSame ? last.index + 1 : 0 };
  }

  #partitionOf(...asked: Parameters<Partitioner['partitionOf']>): number {
    try {
      return this.#partitioner.partitionOf(...asked);
    } catch (error) {
      this.#fault ??= { error };
      throw error;
    }
  }
}
