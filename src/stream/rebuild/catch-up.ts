import type { EventLog, TopicPartition } from '../../ports/event-log.ts';
import { readTo } from '../../ports/read-to.ts';
import type { Store } from '../../ports/store.ts';
import { taskName } from './generation.ts';

/** A topic that tasks read, and those whose tasks write to it. */
export type Input = Readonly<{ topic: string; upstream: readonly string[] }>;

/** Gaps of offsets without records, as transactions leave them, are looked into up to this. */
const MOST_WITHOUT_RECORDS = 1000;

/**
 * Watches whether the tasks of a generation have taken all of their inputs into account, as those
 * were when it was looked first: of a topic between stages, once all that leads to it was.
 */
export class CatchUp {
  readonly #log: EventLog;
  readonly #store: Store;
  readonly #processor: string;
  readonly #generation: number;
  readonly #inputs: readonly Input[];
  readonly #from: Readonly<Record<string, number>>;
  readonly #endOf: (partition: TopicPartition) => Promise<number>;
  readonly #ends = new Map<string, number>();
  readonly #begins = new Map<string, number>();
  readonly #at = new Map<string, number>();
  /** Of a topic whose tasks are at the end: by task, the last chunk that they then had put out. */
  readonly #left = new Map<string, ReadonlyMap<string, number>>();
  readonly #done = new Set<string>();

  constructor(options: {
    log: EventLog;
    store: Store;
    processor: string;
    generation: number;
    inputs: readonly Input[];
    /** Where tasks began; else at the log's start. */
    from: Readonly<Record<string, number>>;
    /** Where a source's partition is to be worked through; else to its end. */
    endOf?: (partition: TopicPartition) => Promise<number>;
  }) {
    this.#log = options.log;
    this.#store = options.store;
    this.#processor = options.processor;
    this.#generation = options.generation;
    this.#inputs = options.inputs;
    this.#from = options.from;
    this.#endOf = options.endOf ?? (async (partition) => (await this.#log.offsets(partition)).end);
  }

  /** How much of the sources is done, as far as that was looked at; 1 is all. */
  get share(): number {
    let all = 0;
    let done = 0;
    for (const [id, begin] of this.#begins) {
      const end = this.#ends.get(id) ?? begin;
      all += Math.max(0, end - begin);
      done += Math.max(0, Math.min(end, this.#at.get(id) ?? begin) - begin);
    }
    return all === 0 ? 1 : done / all;
  }

  /** Whether all is done. */
  async look(signal: AbortSignal): Promise<boolean> {
    const topics = new Map((await this.#log.topics()).map((topic) => [topic.name, topic]));
    for (const { topic, upstream } of this.#inputs) {
      if (this.#done.has(topic) || upstream.some((each) => !this.#done.has(each))) continue;
      const partitions = Array.from(
        { length: topics.get(topic)?.partitions ?? 0 },
        (_, partition) => ({ topic, partition }),
      );
      const isSource = upstream.length === 0;
      // All of them, as their places are told as well.
      const reached = await Promise.all(
        partitions.map((partition) => this.#isReached(partition, isSource, signal)),
      );
      if (reached.every(Boolean) && (await this.#isForwarded(partitions))) this.#done.add(topic);
    }
    return this.#done.size === this.#inputs.length;
  }

  async #isReached(
    partition: TopicPartition,
    isSource: boolean,
    signal: AbortSignal,
  ): Promise<boolean> {
    const id = idOf(partition);
    const { start, end: endNow } = await this.#log.offsets(partition);
    const end = this.#ends.get(id) ?? (isSource ? await this.#endOf(partition) : endNow);
    this.#ends.set(id, end);
    const stored = await this.#store.offsets(this.#taskOf(id));
    const begin = Math.max(start, this.#from[id] ?? start);
    const at = stored[id] ?? begin;
    if (isSource) {
      if (!this.#begins.has(id)) this.#begins.set(id, begin);
      this.#at.set(id, at);
    }
    if (at >= end) return true;
    if (end - at > MOST_WITHOUT_RECORDS) return false;
    // Where only the position moved on, nothing is stored.
    for await (const records of readTo(this.#log, { ...partition, offset: at }, end, signal))
      return records.length === 0;
    return !signal.aborted;
  }

  /** What they put out on the way is in the log. */
  async #isForwarded(partitions: readonly TopicPartition[]): Promise<boolean> {
    const topic = partitions[0]?.topic ?? '';
    let left = this.#left.get(topic);
    if (left === undefined) {
      const last = new Map<string, number>();
      for (const partition of partitions) {
        const task = this.#taskOf(idOf(partition));
        const outgoing = await this.#store.outgoing(task, Infinity);
        last.set(task, outgoing.at(-1)?.sequence ?? 0);
      }
      left = last;
      this.#left.set(topic, left);
    }
    for (const [task, sequence] of left) {
      const [first] = await this.#store.outgoing(task, 1);
      if (first !== undefined && first.sequence <= sequence) return false;
    }
    return true;
  }

  #taskOf(id: string): string {
    return taskName(this.#processor, this.#generation, id);
  }
}

function idOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
