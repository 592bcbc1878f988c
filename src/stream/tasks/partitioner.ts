import { MillraceError } from '../../domain/errors.ts';
import { murmur2 } from '../../lib/murmur2.ts';
import type { EventLog } from '../../ports/event-log.ts';

/** Chooses partitions as Kafka's default partitioner does for keys: the same key, the same one. */
export class Partitioner {
  readonly #counts: ReadonlyMap<string, number>;

  constructor(counts: ReadonlyMap<string, number>) {
    this.#counts = counts;
  }

  /** Knows the topics that exist now. */
  static async of(log: EventLog): Promise<Partitioner> {
    const topics = await log.topics();
    return new Partitioner(new Map(topics.map(({ name, partitions }) => [name, partitions])));
  }

  /** Throws `topic_missing`. */
  countOf(topic: string): number {
    const count = this.#counts.get(topic);
    if (count === undefined) throw new MillraceError('topic_missing', { topic });
    return count;
  }

  /**
   * Where a record goes: `asked` if given; by its key; else, so that replays agree, by `origin`, the
   * partition that caused it. Throws `topic_missing`.
   */
  partitionOf(
    topic: string,
    key: Uint8Array | string | null,
    origin: number,
    asked?: number,
  ): number {
    const count = this.countOf(topic);
    if (asked !== undefined) {
      if (Number.isInteger(asked) && asked >= 0 && asked < count) return asked;
      throw new MillraceError('topic_missing', { topic, partition: asked, partitions: count });
    }
    if (count === 1) return 0;
    if (key === null) return origin % count;
    return (murmur2(typeof key === 'string' ? Buffer.from(key) : key) & 0x7fffffff) % count;
  }
}
