import { MillraceError } from '../../domain/errors.ts';
import type { RebuildPhase } from '../../domain/status.ts';
import type { ServedWrite, Store } from '../../ports/store.ts';
import { FIRST, partsOfTask } from './generation.ts';

/** Which generation's results are served, and which is to take its place. */
export type GenerationState = Readonly<{
  current: number;
  rebuild?: Readonly<{ generation: number; phase: RebuildPhase }>;
  /** What served keys begin with that the current generation wrote: its code may be gone by then. */
  prefixes?: readonly string[];
}>;

/** As it was found; it moves on only from there. */
export type StoredState = Readonly<{
  /** Counts the moves; undefined before the first. */
  version: number | undefined;
  state: GenerationState;
}>;

const KEY = 'generation';
const VERSION = 'version';

export async function loadState(store: Store, processor: string): Promise<StoredState> {
  const task = recordOf(processor);
  const { [VERSION]: version } = await store.offsets(task);
  const [text] = version === undefined ? [] : await store.getMany(task, [KEY]);
  const state = text === undefined ? { current: FIRST } : (JSON.parse(text) as GenerationState);
  return { version, state };
}

/**
 * Moves it on, with what is served, in one commit. Rejects with `commit_conflict` when another
 * process has moved it since `before`, so that each move is made once however many try.
 */
export async function moveState(
  store: Store,
  processor: string,
  before: StoredState,
  { state, served = [] }: Readonly<{ state: GenerationState; served?: readonly ServedWrite[] }>,
): Promise<StoredState> {
  const version = (before.version ?? 0) + 1;
  await store.commit({
    task: recordOf(processor),
    from: before.version === undefined ? {} : { [VERSION]: before.version },
    to: { [VERSION]: version },
    state: [[KEY, JSON.stringify(state)]],
    served,
    outgoing: [],
  });
  return { version, state };
}

/** Before a generation serves keys under these prefixes. */
export async function rememberPrefixes(
  store: Store,
  processor: string,
  prefixes: readonly string[],
): Promise<void> {
  for (;;) {
    const stored = await loadState(store, processor);
    const known = stored.state.prefixes ?? [];
    const all = [...new Set([...known, ...prefixes])];
    if (all.length === known.length) return;
    try {
      await moveState(store, processor, stored, { state: { ...stored.state, prefixes: all } });
      return;
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }
}

/** Tasks of a processor in the store, of whichever generation. */
export async function storedTasks(
  store: Store,
  processor: string,
): Promise<readonly Readonly<{ task: string; generation: number; id: string }>[]> {
  const tasks = await store.tasks();
  return tasks.flatMap((task) => {
    const parts = partsOfTask(task);
    return parts?.processor === processor && task !== recordOf(processor)
      ? [{ task, generation: parts.generation, id: parts.id }]
      : [];
  });
}

export function isConflict(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'commit_conflict';
}

/** Beside the tasks, whose names end in a partition. */
function recordOf(processor: string): string {
  return `${processor}/generation`;
}
