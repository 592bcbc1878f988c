import { isDecimal } from '../../domain/decimal.ts';
import type { Header } from '../../domain/record-block.ts';
import { checkStoreKey } from '../../domain/store-key.ts';
import type { Commit, ServedWrite } from '../../ports/store.ts';
import type { OutgoingRecord, TaskContext, TaskState } from '../processor.ts';
import { Outbox } from './outbox.ts';
import type { Partitioner } from './partitioner.ts';
import type { StateOverlay } from './state-overlay.ts';

/** What effects are of: a record of the task's partition, or time that passed after it. */
export type Occasion = Readonly<{
  offset: number;
  partition: number;
  /** Above 0: the number of the tick that told that time had passed; it grows from tick to tick. */
  tick?: number;
  /** The time of what is put out, unless it has its own. */
  source?: Readonly<{ ts_ms: number }>;
}>;

const NO_HEADERS: readonly Header[] = [];

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
  readonly #outbox: Outbox;
  #occasion: Occasion | undefined;
  #keptServed = 0;
  #fault: { readonly error: unknown } | undefined;

  constructor(options: { task: string; overlay: StateOverlay; partitioner: Partitioner }) {
    this.task = options.task;
    this.#outbox = new Outbox(options.task);
    this.#overlay = options.overlay;
    this.#partitioner = options.partitioner;
    this.state = this.#overlay.forProcessor();
  }

  /** A failure that is not the record's: of the store, or a topic that does not exist. */
  get fault(): { readonly error: unknown } | undefined {
    return this.#fault ?? this.#overlay.fault;
  }

  begin(occasion: Occasion): void {
    this.#occasion = occasion;
    this.#outbox.begin(occasion.offset, occasion.tick ?? 0);
  }

  /** What follows, until the batch ends, is done by this step of an operator's order. */
  beginReplay(step: string): void {
    this.#outbox.beginReplay(step);
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
    const { topic, partition, key, value, timestampMs, headers } = record;
    const timeMs = timestampMs ?? this.#occasion?.source?.ts_ms ?? 0;
    this.put(topic, partition, key, value, timeMs, headers);
  }

  /**
   * The same for the engine's own use: key and value may be bytes. Without `partition`, that of the
   * key.
   */
  put(
    topic: string,
    partition: number | undefined,
    key: Uint8Array | string | null,
    value: Uint8Array | string | null,
    timestampMs: number,
    headers: readonly Header[] = NO_HEADERS,
  ): void {
    const occasion = this.#occasion;
    if (occasion === undefined) throw new Error('forward() was called after process() had ended');
    const to = this.#partitionOf(topic, key, occasion.partition, partition);
    this.#outbox.put(topic, to, key, value, timestampMs, headers);
  }

  /** Puts out what is no processor's doing, as part of what is kept. */
  putDeadLetter(
    { key, value, timestampMs, headers }: Omit<OutgoingRecord, 'topic' | 'partition'>,
    topic: string,
    { offset, partition, tick = 0 }: Occasion,
  ): void {
    const to = this.#partitionOf(topic, key, partition);
    this.#outbox.begin(offset, tick);
    this.#outbox.put(topic, to, key, value, timestampMs, headers, true);
    this.keep();
  }

  keep(): void {
    this.#occasion = undefined;
    this.#keptServed = this.#served.length;
    this.#outbox.keep();
    this.#overlay.keep();
  }

  undo(): void {
    this.#occasion = undefined;
    this.#served.length = this.#keptServed;
    this.#outbox.undo();
    this.#overlay.undo();
  }

  /** Ends the batch: all that was kept, which the caller commits now. */
  seal(): Pick<Commit, 'state' | 'served' | 'outgoing'> {
    const sealed = {
      state: this.#overlay.seal(),
      served: this.#served,
      outgoing: this.#outbox.seal(),
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
    this.#occasion = undefined;
    this.#served = [];
    this.#keptServed = 0;
    this.#outbox.clear();
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
