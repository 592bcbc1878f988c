import { MillraceError } from '../../domain/errors.ts';
import type { EventLog, TopicPartition } from '../../ports/event-log.ts';
import { readTo } from '../../ports/read-to.ts';
import type { Store, TaskOffsets } from '../../ports/store.ts';
import { idOf, type Places } from './processor-partitions.ts';

type Tasks = ReadonlyMap<string, Readonly<{ partition: TopicPartition; target: number }>>;

/**
 * Proof that the store is what the records before the targets make it, and stays so.
 *
 * What workers tell may be wrong: one that was cut off takes itself for the owner of a partition,
 * another comes in and knows of no hold. But an effect is never without its offset, and an offset
 * is only in the store.
 */
export class StoreRest {
  readonly #store: Store;
  readonly #tasks: Tasks;
  readonly #stored: ReadonlyMap<string, TaskOffsets>;

  private constructor(store: Store, tasks: Tasks, stored: ReadonlyMap<string, TaskOffsets>) {
    this.#store = store;
    this.#tasks = tasks;
    this.#stored = stored;
  }

  /** Throws `reconcile_disturbed` unless every task has committed all before its target and nothing after. */
  static async prove(
    parts: Readonly<{
      store: Store;
      log: EventLog;
      processors: ReadonlyMap<string, readonly TopicPartition[]>;
      targets: Places;
    }>,
    signal: AbortSignal,
  ): Promise<StoreRest> {
    const { store, log, processors, targets } = parts;
    const tasks = new Map(
      [...processors].flatMap(([name, partitions]) =>
        partitions.map((partition) => {
          const target = targets[idOf(partition)] ?? 0;
          return [`${name}/${idOf(partition)}`, { partition, target }] as const;
        }),
      ),
    );
    const stored = await readOffsets(store, tasks);
    for (const [task, { partition, target }] of tasks) {
      const offset = stored.get(task)?.[idOf(partition)];
      await refuseElsewhere(log, { task, partition, target, offset }, signal);
    }
    return new StoreRest(store, tasks, stored);
  }

  /** Throws `reconcile_disturbed` when a task has committed since. */
  async check(): Promise<void> {
    const now = await readOffsets(this.#store, this.#tasks);
    for (const [task, before] of this.#stored) {
      const found = now.get(task) ?? {};
      const ids = new Set([...Object.keys(before), ...Object.keys(found)]);
      for (const id of ids)
        if (before[id] !== found[id])
          throw new MillraceError('reconcile_disturbed', {
            expected: `${task} at rest during the comparison, at ${before[id] ?? 'its beginning'}`,
            found: `it went on to ${found[id] ?? 'its beginning'}`,
          });
    }
  }
}

async function readOffsets(store: Store, tasks: Tasks): Promise<ReadonlyMap<string, TaskOffsets>> {
  const entries = [...tasks.keys()].map(async (task) => [task, await store.offsets(task)] as const);
  return new Map(await Promise.all(entries));
}

/** Offsets without a record need not be stored, so a task at its target may be stored before it. */
async function refuseElsewhere(
  log: EventLog,
  at: Readonly<{
    task: string;
    partition: TopicPartition;
    target: number;
    offset: number | undefined;
  }>,
  signal: AbortSignal,
): Promise<void> {
  const { task, partition, target, offset } = at;
  const { start } = await log.offsets(partition);
  const next = Math.max(offset ?? start, start);
  const disturbed = (found: string): MillraceError =>
    new MillraceError('reconcile_disturbed', { expected: `${task} at offset ${target}`, found });
  if (offset !== undefined && offset > target) throw disturbed(`it is past it, at ${offset}`);
  for await (const [first] of readTo(log, { ...partition, offset: next }, target, signal))
    if (first !== undefined) throw disturbed(`it has yet to take in offset ${first.offset}`);
}
