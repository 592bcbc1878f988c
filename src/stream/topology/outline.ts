import type { Processor } from '../processor.ts';
import type { Compiled, Stage } from './compile.ts';
import type { GraphNode } from './graph.ts';

/** What a processor does, as a value to be shown. Functions can't be: an operator is its kind and settings. */
export type Outline = Readonly<{
  processor: string;
  /** Absent where the processor is code, of which only the topics are known. */
  version?: string;
  /** Another one is another topology, whose state is built anew. */
  hash?: string;
  stages: readonly StageOutline[];
  /** Topics that it writes, those between its own stages included. */
  writes: readonly TopicOutline[];
  /** Prefixes of the keys that it serves. */
  serves: readonly string[];
}>;

/** All that is done with the records of one topic: a task each partition. */
export type StageOutline = Readonly<{
  topic: string;
  /** `internal`: written by other stages of the processor. */
  format: 'changes' | 'json' | 'internal';
  partitions: number;
  /** Topics of the stages that write to it. */
  upstream: readonly string[];
  operators: readonly OperatorOutline[];
}>;

export type OperatorOutline = Readonly<{
  name: string;
  kind: string;
  settings: Readonly<Record<string, string | number | boolean>>;
  /** It keeps state. */
  isStateful: boolean;
  /** Where its elements come from; none in this stage of what enters by the stage's topic alone. */
  inputs: readonly Readonly<{ operator: string; port: string }>[];
  /** It takes what comes by the stage's topic. */
  isEntry: boolean;
  /** Topics that its output goes to, for another stage. */
  repartitions: readonly string[];
  /** The topic that it writes for others. */
  writes?: string;
  /** The prefix of the keys that it serves. */
  serves?: string;
}>;

export type TopicOutline = Readonly<{ topic: string; partitions: number; isInternal: boolean }>;

export function outlineOf(
  processor: Compiled | Processor,
  partitionsOf: (topic: string) => number,
): Outline {
  if (!('stages' in processor)) {
    const stages = processor.topics.map((topic) => ({
      topic,
      format: 'changes' as const,
      partitions: partitionsOf(topic),
      upstream: [],
      operators: [],
    }));
    return { processor: processor.name, stages, writes: [], serves: [] };
  }
  const { topology, stages, declares, hash } = processor;
  const counts = new Map(declares.map(({ name, partitions }) => [name, partitions]));
  const internal = new Set(
    stages.filter(({ format }) => format === 'internal').map(({ topic }) => topic),
  );
  const prefixes = topology.nodes.flatMap(({ serves }) => serves?.prefix ?? []);
  return {
    processor: topology.name,
    version: topology.version,
    hash,
    stages: stages.map((stage) => stageOutline(stage, counts, partitionsOf)),
    writes: declares.map(({ name, partitions }) => ({
      topic: name,
      partitions,
      isInternal: internal.has(name),
    })),
    serves: [...new Set(prefixes)],
  };
}

function stageOutline(
  stage: Stage,
  counts: ReadonlyMap<string, number>,
  partitionsOf: (topic: string) => number,
): StageOutline {
  const { topic, format, upstream, nodes } = stage;
  return {
    topic,
    format,
    partitions: counts.get(topic) ?? partitionsOf(topic),
    upstream,
    operators: nodes.map((node) => operatorOutline(node, stage)),
  };
}

function operatorOutline(node: GraphNode, { nodes, entries, exits }: Stage): OperatorOutline {
  const { id, kind, settings, isStateful, writes, serves } = node;
  const repartitions = exits.filter(({ edge }) => edge.node === node).map((exit) => exit.topic);
  const entered = new Set(entries.filter((entry) => entry.node === node).map(({ input }) => input));
  const inputs = node.inputs.filter(
    (edge, input) => !entered.has(input) && nodes.includes(edge.node),
  );
  return {
    name: id,
    kind,
    settings,
    isStateful,
    inputs: inputs.map((edge) => ({ operator: edge.node.id, port: edge.port })),
    isEntry: entered.size > 0,
    repartitions: [...new Set(repartitions)],
    ...(writes !== undefined && { writes: writes.topic }),
    ...(serves !== undefined && { serves: serves.prefix }),
  };
}
