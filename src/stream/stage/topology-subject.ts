import { must } from '../../lib/must.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { TopicDeclaration } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import { topicPrefix } from '../rebuild/generation.ts';
import { storedTasks } from '../rebuild/generation-state.ts';
import type { TaskSubject } from '../tasks/record-handler.ts';
import type { Compiled } from '../topology/compile.ts';
import { StageHandler, TOPOLOGY } from './stage-handler.ts';

/** Runs a topology: each of its stages in the tasks of its topic. */
export function topologySubject(compiled: Compiled): TaskSubject {
  const { topology, generation, stages, isTimed } = compiled;
  const stageOf = (topic: string) =>
    must(
      stages.find((stage) => stage.topic === topic),
      'tasks are of topics that a stage reads',
    );
  return {
    name: topology.name,
    generation,
    topics: stages.map(({ topic }) => topic),
    ...(topology.onError !== undefined && { onError: topology.onError }),
    upstreamOf: (topic) => stageOf(topic).upstream,
    wantsCopies: (topic) =>
      stageOf(topic).entries.some(({ node }) => node.source?.takesCopies === true),
    isCaptured: (topic) => stageOf(topic).format === 'changes',
    tickTopic: isTimed ? tickTopic(topology.name, generation) : undefined,
    open: (parts) => new StageHandler(compiled, stageOf(parts.partition.topic), parts),
  };
}

/** Topics of its generation alone: between its stages, and of ticks. */
export function ownTopics(compiled: Compiled): readonly TopicDeclaration[] {
  const { topology, generation, stages, declares, isTimed } = compiled;
  const internal = new Set(
    stages.filter(({ format }) => format === 'internal').map(({ topic }) => topic),
  );
  const own = declares.filter(({ name }) => internal.has(name));
  const ticks = tickTopic(topology.name, generation);
  return isTimed ? [...own, { name: ticks, partitions: 1, cleanup: 'delete' }] : own;
}

/**
 * Throws `topology_changed` where a task has state that another topology made: before any task
 * begins, as some may have none.
 */
export async function refuseOtherTopology(
  store: Store,
  { topology, generation, hash }: Compiled,
): Promise<void> {
  const { name, version } = topology;
  for (const stored of await storedTasks(store, name)) {
    if (stored.generation !== generation) continue;
    const { task } = stored;
    const [found] = await store.getMany(task, [TOPOLOGY]);
    if (found !== undefined && found !== hash)
      throw new MillraceError('topology_changed', { processor: name, version, task });
  }
}

/** Where the ticks of a topology's tasks are. */
export function tickTopic(topology: string, generation?: number): string {
  return `${topicPrefix(topology, generation)}.ticks`;
}
