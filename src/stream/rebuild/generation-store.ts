import { MillraceError } from '../../domain/errors.ts';
import type {
  Commit,
  Outgoing,
  ServedValue,
  ServedWrite,
  Store,
  TaskOffsets,
} from '../../ports/store.ts';
import { generationName, partsOfTask } from './generation.ts';
import {
  type GenerationState,
  isConflict,
  loadState,
  rememberPrefixes,
} from './generation-state.ts';

/** What is served under keys that begin so is not finished, and is shown to nobody. */
export const SHADOW = 'millrace~rebuild:';

/** What precedes the name of a key while this generation is built; of all of them without one. */
export function shadowPrefix(processor: string, generation?: number): string {
  return generation === undefined
    ? `${SHADOW}${processor}~`
    : `${SHADOW}${generationName(processor, generation)}:`;
}

export type GenerationRole = Readonly<{
  processor: string;
  generation: number;
  /** It is not the one that is served. */
  isRebuild: boolean;
  /** Where tasks begin, by `topic-partition`; else at the start of the log. */
  from: Readonly<Record<string, number>>;
  /** What served keys begin with that it alone writes. */
  prefixes: readonly string[];
}>;

/** In the stored offsets: this generation took the task's place, or took it up. See `fence`. */
const FENCE = 'fence';

/**
 * The store as the tasks of one generation use it. They begin where the rebuild was asked to; what
 * they serve goes under other keys until they are served.
 *
 * A task whose generation may not work any more can't commit: its offsets were moved by `fence`
 * after the generation's state was, and it does not get to know the new ones. It fails with
 * `generation_ended`.
 */
export class GenerationStore implements Store {
  readonly #store: Store;
  readonly #role: GenerationRole;

  constructor(store: Store, role: GenerationRole) {
    this.#store = store;
    this.#role = role;
  }

  async commit(commit: Commit): Promise<void> {
    // Nothing is stored that could have been moved.
    if (Object.keys(commit.from).length === 0) await this.#check();
    await this.#store.commit({ ...commit, served: this.#named(commit.served) });
  }

  async offsets(task: string): Promise<TaskOffsets> {
    const found = await this.#store.offsets(task);
    // After that look: whoever ends a generation says so before it touches a task.
    await this.#check();
    const id = partsOfTask(task)?.id ?? '';
    const start = this.#role.from[id];
    if (start === undefined || found[id] !== undefined) return found;
    const to = { ...found, [id]: start };
    try {
      await this.#store.commit({ task, from: found, to, state: [], served: [], outgoing: [] });
    } catch (error) {
      if (!isConflict(error)) throw error;
      return this.offsets(task);
    }
    return to;
  }

  tasks(): Promise<readonly string[]> {
    return this.#store.tasks();
  }

  getMany(task: string, keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    return this.#store.getMany(task, keys);
  }

  range(...asked: Parameters<Store['range']>): ReturnType<Store['range']> {
    return this.#store.range(...asked);
  }

  outgoing(task: string, maxBytes: number): Promise<readonly Outgoing[]> {
    return this.#store.outgoing(task, maxBytes);
  }

  forwarded(task: string, last: Outgoing): Promise<void> {
    return this.#store.forwarded(task, last);
  }

  get(key: string, nowMs: number): Promise<ServedValue | undefined> {
    return this.#store.get(key, nowMs);
  }

  keys(...asked: Parameters<Store['keys']>): ReturnType<Store['keys']> {
    return this.#store.keys(...asked);
  }

  sweep(nowMs: number): Promise<number> {
    return this.#store.sweep(nowMs);
  }

  dropTask(task: string): Promise<void> {
    return this.#store.dropTask(task);
  }

  sizeBytes(): Promise<number | undefined> {
    return this.#store.sizeBytes();
  }

  /** The store is the caller's. */
  async [Symbol.asyncDispose](): Promise<void> {}

  #named(served: readonly ServedWrite[]): readonly ServedWrite[] {
    const { isRebuild, processor, generation } = this.#role;
    if (!isRebuild) return served;
    const prefix = shadowPrefix(processor, generation);
    return served.map((write) => ({ ...write, key: prefix + write.key }));
  }

  async #check(): Promise<void> {
    const { processor, generation, isRebuild, prefixes } = this.#role;
    const { state } = await loadState(this.#store, processor);
    if (!mayWork(state, this.#role))
      throw new MillraceError('generation_ended', { processor, generation });
    const isKnown = prefixes.every((prefix) => state.prefixes?.includes(prefix));
    // Here, since a store may have lost what was remembered at the start.
    if (!isRebuild && !isKnown) await rememberPrefixes(this.#store, processor, prefixes);
  }
}

export function mayWork(
  { current, rebuild }: GenerationState,
  { generation, isRebuild }: Pick<GenerationRole, 'generation' | 'isRebuild'>,
): boolean {
  const phase = rebuild?.phase ?? 'rebuilding';
  if (!isRebuild) return current === generation && phase === 'rebuilding';
  return rebuild?.generation === generation && (phase === 'rebuilding' || phase === 'overtaking');
}

/**
 * Moves a task's stored offsets, without moving on: what it is about to commit from the old ones
 * is refused. Once a task, for a rebuild to this generation.
 */
export async function fence(store: Store, task: string, generation: number): Promise<void> {
  for (;;) {
    const from = await store.offsets(task);
    if (from[FENCE] === generation) return;
    const to = { ...from, [FENCE]: generation };
    try {
      await store.commit({ task, from, to, state: [], served: [], outgoing: [] });
      return;
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }
}
