import type { ProcessorStatus } from '../../domain/status.ts';
import type { Store } from '../../ports/store.ts';
import { taskName } from '../../stream/rebuild/generation.ts';
import { loadState, storedTasks } from '../../stream/rebuild/generation-state.ts';
import type { TopicFacts } from '../operations/operations.ts';

type Task = ProcessorStatus['tasks'][number];
type TaskOf = (topic: string, partition: number) => string;

/**
 * Processors with a task for each partition of their topics: those that no worker runs, too, and
 * all as far as the store and the log are now.
 */
export async function withStoredTasks(
  processors: readonly ProcessorStatus[],
  topics: readonly TopicFacts[],
  store: Store,
): Promise<readonly ProcessorStatus[]> {
  return Promise.all(
    processors.map(async (processor) => {
      const { name } = processor;
      const { current } = (await loadState(store, name)).state;
      const stored = await storedTasks(store, name);
      const ran = stored.filter(({ generation }) => generation === current);
      const known = new Set([...ran, ...processor.tasks].map(({ task }) => task));
      const taskOf: TaskOf = (topic, partition) => taskName(name, current, `${topic}-${partition}`);
      const read = topics.filter(({ topic, partitions }) =>
        partitions.some(({ partition }) => known.has(taskOf(topic, partition))),
      );
      return { ...processor, tasks: await tasksOf(processor, read, taskOf, store) };
    }),
  );
}

async function tasksOf(
  processor: ProcessorStatus,
  topics: readonly TopicFacts[],
  taskOf: TaskOf,
  store: Store,
): Promise<readonly Task[]> {
  const partitions = topics.flatMap(({ topic, partitions: all }) =>
    all.map((facts) => ({ topic, ...facts })),
  );
  return Promise.all(
    partitions.map(async ({ topic, partition, start, end }) => {
      const task = taskOf(topic, partition);
      const told = processor.tasks.find((each) => each.task === task);
      const stored = (await store.offsets(task))[`${topic}-${partition}`] ?? start;
      // What was told is older, but knows of offsets without records, which are never stored.
      const offset = Math.max(stored, told?.partitions[0]?.offset ?? start);
      return {
        task,
        ...(told?.worker !== undefined && { worker: told.worker }),
        // The end was asked for before, and a worker does not wait.
        partitions: [{ topic, partition, offset, end: Math.max(end, offset) }],
      };
    }),
  );
}
