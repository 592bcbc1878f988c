import type { EventLog } from '../../ports/event-log.ts';

/** Counts what others append to topics, by the ends of their partitions; tombstones count too. */
export class ChangeCount {
  changes = 0;
  readonly #log: EventLog;
  readonly #partitionsOf: (topic: string) => number;
  readonly #ends = new Map<string, number>();

  constructor(log: EventLog, partitionsOf: (topic: string) => number) {
    this.#log = log;
    this.#partitionsOf = partitionsOf;
  }

  /** What stands in a topic when it is looked at for the first time does not count. */
  async look(topics: Iterable<string>): Promise<void> {
    for (const topic of topics)
      for (let partition = 0; partition < this.#partitionsOf(topic); partition += 1) {
        const { end } = await this.#log.offsets({ topic, partition });
        const id = `${topic}-${partition}`;
        this.changes += Math.max(0, end - (this.#ends.get(id) ?? end));
        this.#ends.set(id, end);
      }
  }
}
