import { must } from '../../lib/must.ts';
import { topicPrefix } from '../rebuild/generation.ts';
import type { TaskSubject } from '../tasks/record-handler.ts';
import type { Compiled } from '../topology/compile.ts';
import { StageHandler } from './stage-handler.ts';

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
    upstreamOf: (topic) => stageOf(topic).upstream,
    tickTopic: isTimed ? tickTopic(topology.name, generation) : undefined,
    open: (parts) => new StageHandler(compiled, stageOf(parts.partition.topic), parts),
  };
}

/** Where the ticks of a topology's tasks are. */
export function tickTopic(topology: string, generation?: number): string {
  return `${topicPrefix(topology, generation)}.ticks`;
}
