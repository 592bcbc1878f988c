import { type Change, decodeChange } from '../../domain/envelope.ts';
import type { LogRecord } from '../../domain/record-block.ts';
import { must } from '../../lib/must.ts';
import type { TopicPartition } from '../../ports/event-log.ts';
import type { StateWrite } from '../../ports/store.ts';
import type { Effects } from './effects.ts';
import { type Failure, failureOf, type FailureStage } from './failure.ts';
import type { HandlerParts, Prepared, RecordHandler, TaskSubject } from './record-handler.ts';
import type { Processor } from '../processor.ts';
import { allowed, type StateOverlay } from './state-overlay.ts';

/** Runs a processor that takes change events. */
export function processorSubject(processor: Processor): TaskSubject {
  return {
    name: processor.name,
    topics: processor.topics,
    ...(processor.onError !== undefined && { onError: processor.onError }),
    upstreamOf: () => [],
    wantsCopies: () => true,
    tickTopic: undefined,
    open: (parts) => new RecordProcessor(processor, parts),
  };
}

/** Shows a processor one record at a time: all that it does for it is kept, or nothing. */
class RecordProcessor implements RecordHandler {
  readonly #processor: Processor;
  readonly #effects: Effects;
  readonly #overlay: StateOverlay;
  readonly #from: TopicPartition;

  constructor(processor: Processor, { effects, overlay, partition }: HandlerParts) {
    this.#processor = processor;
    this.#effects = effects;
    this.#overlay = overlay;
    this.#from = partition;
  }

  /** The overlay is the whole state, and reads when asked. */
  async load(): Promise<void> {}

  /** Decodes the records, and fetches the state that the processor will ask for, all at once. */
  async prepare(records: readonly LogRecord[]): Promise<readonly Prepared<Change>[]> {
    const keys = new Set<string>();
    const prepared = records.map((record) => this.#prepared(record, keys));
    if (keys.size > 0) await this.#overlay.fetch(keys);
    return prepared;
  }

  /** A promise only where the processor returned one. Throws what is not the record's failure. */
  attempt({ item, failure }: Prepared<Change>): Failure | undefined | Promise<Failure | undefined> {
    if (failure !== undefined) return failure;
    const change = must(item, 'tombstones are not attempted');
    this.#effects.begin(change);
    let result: void | Promise<void>;
    try {
      result = this.#processor.process(change, this.#effects);
    } catch (error) {
      return this.#undone(error);
    }
    return result === undefined ? this.#kept() : this.#finish(result);
  }

  #prepared(record: LogRecord, keys: Set<string>): Prepared<Change> {
    let stage: FailureStage = 'decode';
    let change: Change | undefined;
    try {
      change = decodeChange(this.#from.topic, this.#from.partition, record);
      stage = 'reads';
      if (change !== undefined && this.#processor.reads !== undefined) {
        const named = this.#processor.reads(change).map(allowed);
        for (const key of named) keys.add(key);
      }
      return { record, does: doneBy(change), item: change, failure: undefined };
    } catch (error) {
      const does = change === undefined ? 'change' : doneBy(change);
      return { record, does, item: change, failure: failureOf(stage, error) };
    }
  }

  seal(): readonly StateWrite[] {
    return [];
  }

  committed(): void {}

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

function doneBy(change: Change | undefined): Prepared['does'] {
  if (change === undefined) return 'nothing';
  return change.op === 't' ? 'truncate' : 'change';
}
