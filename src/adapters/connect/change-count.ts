import type { EventLog } from '../../ports/event-log.ts';

/** Counts what others append to topics, by the ends of their partitions; tombstones count too. */
export class ChangeCount {
  changes = 0;
  readonly #log: EventLog;
  readonly #partitionsOf: (topic: string) => number;
  readonly #ends = new Map<string, number>();
  #hasLooked = false;

  constructor(log: EventLog, partitionsOf: (topic: string) => number) {
    this.#log = log;
    this.#partitionsOf = partitionsOf;
  }

  /** What stands in the topics at the first look does not count; a topic that comes later is new. */
  async look(topics: Iterable<string>): Promise<void> {
    for (const topic of topics)
      for (let partition = 0; partition < this.#partitionsOf(topic); partition += 1) {
        const { start, end } = await this.#log.offsets({ topic, partition });
        const id = `${topic}-${partition}`;
        this.changes += Math.max(0, end - (this.#ends.get(id) ?? (this.#hasLooked ? start : end)));
        this.#ends.set(id, end);
      }
    this.#hasLooked = true;
  }
}
