import { type Change, decodeChange } from '../../domain/envelope.ts';
import type { LogRecord } from '../../domain/record-block.ts';
import { must } from '../../lib/must.ts';
import type { TopicPartition } from '../../ports/event-log.ts';
import type { Effects } from './effects.ts';
import { type Failure, failureOf, type FailureStage } from './failure.ts';
import type { Processor } from '../processor.ts';
import { allowed, type StateOverlay } from './state-overlay.ts';

/** A record made ready: a change, a tombstone (no change), or a failure already. */
export type Prepared = Readonly<{
  record: LogRecord;
  change: Change | undefined;
  failure: Failure | undefined;
}>;

/** Shows a processor one record at a time: all that it does for it is kept, or nothing. */
export class RecordProcessor {
  readonly #processor: Processor;
  readonly #effects: Effects;
  readonly #overlay: StateOverlay;
  readonly #from: TopicPartition;

  constructor(options: {
    processor: Processor;
    effects: Effects;
    overlay: StateOverlay;
    from: TopicPartition;
  }) {
    this.#processor = options.processor;
    this.#effects = options.effects;
    this.#overlay = options.overlay;
    this.#from = options.from;
  }

  /** Decodes the records, and fetches the state that the processor will ask for, all at once. */
  async prepare(records: readonly LogRecord[]): Promise<readonly Prepared[]> {
    const keys = new Set<string>();
    const prepared = records.map((record) => this.#prepared(record, keys));
    if (keys.size > 0) await this.#overlay.fetch(keys);
    return prepared;
  }

  /** A promise only where the processor returned one. Throws what is not the record's failure. */
  attempt({ change, failure }: Prepared): Failure | undefined | Promise<Failure | undefined> {
    if (failure !== undefined) return failure;
    this.#effects.begin(must(change, 'tombstones are not attempted'));
    let result: void | Promise<void>;
    try {
      result = this.#processor.process(must(change, 'as above'), this.#effects);
    } catch (error) {
      return this.#undone(error);
    }
    return result === undefined ? this.#kept() : this.#finish(result);
  }

  #prepared(record: LogRecord, keys: Set<string>): Prepared {
    let stage: FailureStage = 'decode';
    let change: Change | undefined;
    try {
      change = decodeChange(this.#from.topic, this.#from.partition, record);
      stage = 'reads';
      if (change !== undefined && this.#processor.reads !== undefined) {
        const named = this.#processor.reads(change).map(allowed);
        for (const key of named) keys.add(key);
      }
      return { record, change, failure: undefined };
    } catch (error) {
      return { record, change, failure: failureOf(stage, error) };
    }
  }

  async #finish(result: Promise<void>): Promise<Failure | undefined> {
    try {
      await result;
    } catch (error) {
      return this.#undone(error);
    }
    return this.#kept();
  }

  // A processor may have caught it; what it then did stands on state that it did not see.
  #kept(): undefined {
    const { fault } = this.#effects;
    if (fault !== undefined) throw fault.error;
    this.#effects.keep();
  }

  #undone(error: unknown): Failure {
    const { fault } = this.#effects;
    if (fault !== undefined) throw fault.error;
    this.#effects.undo();
    return failureOf('process', error);
  }
}
