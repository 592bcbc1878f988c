import { readTo } from '../../ports/read-to.ts';
import type { EventLog, TopicPartition } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import { storedWaitMs } from '../stage/stage-handler.ts';
import type { Partitioner } from './partitioner.ts';
import type { TaskSubject } from './record-handler.ts';
import type { Task } from './task.ts';

type Parts = Readonly<{
  subject: TaskSubject;
  log: EventLog;
  store: Store;
  partitioner: Partitioner;
  taskOf: (partition: TopicPartition) => string;
}>;

/**
 * Knows which tasks of sources must be told that time has passed: those that have nothing to read,
 * while something waits for them, in themselves or in a task after them. It asks the store, as
 * another worker may have that one.
 */
export class Waits {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Whether something waits for time that has not come to this task. */
  async isFor(task: Task): Promise<boolean> {
    return ((await this.#waitMs(task)) ?? -Infinity) > task.reachedMs;
  }

  /** Whether time has come to what is waited for, and all before it to this task. */
  async isOver(task: Task, passedMs: number, signal: AbortSignal): Promise<boolean> {
    const waitMs = (await this.#waitMs(task)) ?? Infinity;
    return waitMs <= passedMs && (await this.#isAtEnd(task.partition, signal));
  }

  /** The least time that is waited for. */
  async #waitMs({ partition, waitsForMs }: Task): Promise<number | undefined> {
    const { store, taskOf } = this.#parts;
    let least = waitsForMs;
    for (const after of this.#after(partition.topic)) {
      const waitMs = await storedWaitMs(store, taskOf(after));
      if (waitMs !== undefined) least = Math.min(least ?? Infinity, waitMs);
    }
    return least;
  }

  /** The partitions of all that a topic's tasks lead to. */
  #after(topic: string): TopicPartition[] {
    const { subject, partitioner } = this.#parts;
    const next = subject.topics.filter((each) => subject.upstreamOf(each).includes(topic));
    return next.flatMap((each) => [
      ...Array.from({ length: partitioner.countOf(each) }, (_, partition) => ({
        topic: each,
        partition,
      })),
      ...this.#after(each),
    ]);
  }

  async #isAtEnd(partition: TopicPartition, signal: AbortSignal): Promise<boolean> {
    const { log, store, taskOf } = this.#parts;
    const { start, end } = await log.offsets(partition);
    const stored = await store.offsets(taskOf(partition));
    const reached = stored[`${partition.topic}-${partition.partition}`] ?? 0;
    const from = { ...partition, offset: Math.max(reached, start) };
    // Where only the position moved on, nothing is stored.
    for await (const _ of readTo(log, from, end, signal)) return false;
    return !signal.aborted;
  }
}
