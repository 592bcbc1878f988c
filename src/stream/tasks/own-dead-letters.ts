import type { EventLog } from '../../ports/event-log.ts';
import { readTo } from '../../ports/read-to.ts';
import { parkedOffsetOf } from './dead-letters.ts';

/** Knows which of a task's records were ever parked, from the dead-letter topic. */
export class OwnDeadLetters {
  readonly topic: string;
  readonly #log: EventLog;
  readonly #task: string;
  readonly #offsets = new Set<number>();
  #next: number | undefined;

  constructor({ log, topic, task }: Readonly<{ log: EventLog; topic: string; task: string }>) {
    this.#log = log;
    this.topic = topic;
    this.#task = task;
  }

  /** Offsets of the records that are in the topic now; what was read before is not read again. */
  async offsets(signal: AbortSignal): Promise<ReadonlySet<number>> {
    const partition = { topic: this.topic, partition: 0 };
    const { start, end } = await this.#log.offsets(partition);
    const from = { ...partition, offset: Math.max(start, this.#next ?? 0) };
    for await (const records of readTo(this.#log, from, end, signal)) {
      for (const record of records) {
        const offset = parkedOffsetOf(record, this.#task);
        if (offset !== undefined) this.#offsets.add(offset);
      }
    }
    if (!signal.aborted) this.#next = end;
    return this.#offsets;
  }
}
