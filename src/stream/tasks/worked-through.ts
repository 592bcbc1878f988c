import { readTo } from '../../ports/read-to.ts';
import type { EventLog, TopicPartition } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import { storedWaitMs } from '../stage/stage-handler.ts';
import type { Partitioner } from './partitioner.ts';
import type { TaskSubject } from './record-handler.ts';

/**
 * Knows whether a task has worked through all that is in the log now, so that it may take the time at
 * the sources for its own. It asks the store, which has what other workers did too.
 */
export class WorkedThrough {
  readonly #subject: TaskSubject;
  readonly #log: EventLog;
  readonly #store: Store;
  readonly #partitioner: Partitioner;
  readonly #taskOf: (partition: TopicPartition) => string;

  constructor(options: {
    subject: TaskSubject;
    log: EventLog;
    store: Store;
    partitioner: Partitioner;
    taskOf: (partition: TopicPartition) => string;
  }) {
    this.#subject = options.subject;
    this.#log = options.log;
    this.#store = options.store;
    this.#partitioner = options.partitioner;
    this.#taskOf = options.taskOf;
  }

  /** Also of those that lead to it, which have then done what was due at `passedMs`. */
  async holds(partition: TopicPartition, passedMs: number, signal: AbortSignal): Promise<boolean> {
    for (const before of this.#subject.upstreamOf(partition.topic)) {
      if (!(await this.#haveHandedOn(before, passedMs, signal))) return false;
    }
    return this.#isAtEnd(partition, signal);
  }

  async #haveHandedOn(topic: string, passedMs: number, signal: AbortSignal): Promise<boolean> {
    const count = this.#partitioner.countOf(topic);
    const partitions = Array.from({ length: count }, (_, partition) => ({ topic, partition }));
    for (const partition of partitions) {
      if (!(await this.holds(partition, passedMs, signal))) return false;
      const task = this.#taskOf(partition);
      if (((await storedWaitMs(this.#store, task)) ?? Infinity) <= passedMs) return false;
      if ((await this.#store.outgoing(task, 1)).length > 0) return false;
    }
    // A store that has just lost what they put out has not come so far any more.
    for (const partition of partitions) {
      if (!(await this.#isAtEnd(partition, signal))) return false;
    }
    return true;
  }

  async #isAtEnd(partition: TopicPartition, signal: AbortSignal): Promise<boolean> {
    const { start, end } = await this.#log.offsets(partition);
    const stored = await this.#store.offsets(this.#taskOf(partition));
    const reached = stored[`${partition.topic}-${partition.partition}`] ?? 0;
    // Where only the position moved on, nothing is stored.
    const from = { ...partition, offset: Math.max(reached, start) };
    for await (const _ of readTo(this.#log, from, end, signal)) return false;
    return !signal.aborted;
  }
}
