/**
 * A processor's results are built by one of its generations: the first, until an operator asks for
 * a rebuild, which is the next. Each has tasks, a consumer group, internal topics and ticks of its
 * own; what it serves, puts out and tells is the processor's.
 */
export const FIRST = 1;

/** What its consumer group is called, and its tasks begin with. No topic's name may hold a `~`. */
export function generationName(processor: string, generation: number = FIRST): string {
  return generation === FIRST ? processor : `${processor}~${generation}`;
}

/** The task of a `topic-partition`. */
export function taskName(processor: string, generation: number | undefined, id: string): string {
  return `${generationName(processor, generation)}/${id}`;
}

/** Whose task it is; undefined for a name that is no task's. */
export function partsOfTask(
  task: string,
): Readonly<{ processor: string; generation: number; id: string }> | undefined {
  const [, processor, generation, id] = /^([^/]+?)(?:~(\d+))?\/(.+)$/.exec(task) ?? [];
  if (processor === undefined || id === undefined) return undefined;
  return { processor, generation: Number(generation ?? FIRST), id };
}

/** What the names of its internal topics begin with, as Kafka takes them. */
export function topicPrefix(processor: string, generation: number = FIRST): string {
  return generation === FIRST ? processor : `${processor}.g${generation}`;
}
