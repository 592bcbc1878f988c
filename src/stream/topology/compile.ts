import { createHash } from 'node:crypto';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import type { TopicDeclaration } from '../../ports/event-log.ts';
import { FIRST, topicPrefix } from '../rebuild/generation.ts';
import type { Edge, GraphNode } from './graph.ts';
import { servingProblems } from './served-prefixes.ts';
import type { Topology } from './topology.ts';

/** What enters a stage where: at a node's input, or, of a source, at the source itself. */
export type Entry = Readonly<{ node: GraphNode; input: number }>;

/** What leaves a stage for the topic of another, where it enters as `entry`. */
export type Exit = Readonly<{ edge: Edge; topic: string; entry: number }>;

/** All that is done with the records of one topic. */
export type Stage = Readonly<{
  topic: string;
  /** `internal`: its records come from other stages of the topology. */
  format: 'changes' | 'json' | 'internal';
  /** In the order in which exits of other stages number them. */
  entries: readonly Entry[];
  /** Each after its inputs. */
  nodes: readonly GraphNode[];
  exits: readonly Exit[];
  /** Topics of the stages whose exits lead here. */
  upstream: readonly string[];
}>;

/** A topology cut into stages, for topics that have these partitions. */
export type Compiled = Readonly<{
  topology: Topology;
  /** Whose internal topics they are. */
  generation: number;
  /** Each after those that lead to it. */
  stages: readonly Stage[];
  /** Of topics that the topology writes: internal ones, and those of its sinks. */
  declares: readonly TopicDeclaration[];
  /** Something in it may wait for time to pass. */
  isTimed: boolean;
  /** Of its shape, settings and version: another hash is another topology. */
  hash: string;
}>;

/** Where a node's output is: in this stage's task, and, `byKey`, in the partition of its key. */
type Place = Readonly<{ stage: string; byKey: boolean }>;

type Draft = {
  topic: string;
  format: Stage['format'];
  entries: Entry[];
  nodes: GraphNode[];
  exits: Exit[];
  upstream: Set<string>;
};

/** Throws `topology_invalid`. */
export function compile(
  topology: Topology,
  partitionsOf: (topic: string) => number,
  generation: number = FIRST,
): Compiled {
  const stages = new Map<string, Draft>();
  const places = new Map<GraphNode, readonly Place[]>();
  const partitions = new Map<string, number>();
  const countOf = (topic: string): number => partitions.get(topic) ?? partitionsOf(topic);
  const problems = problemsOf(topology);
  if (problems.length > 0)
    throw new MillraceError('topology_invalid', { topology: topology.name, problems });

  const stageOf = (topic: string, format: Stage['format']): Draft => {
    const known = stages.get(topic);
    if (known !== undefined) return known;
    const stage = { topic, format, entries: [], nodes: [], exits: [], upstream: new Set<string>() };
    stages.set(topic, stage);
    return stage;
  };
  const placesOf = (edges: readonly Edge[]): readonly Place[] =>
    edges.flatMap(({ node }) => must(places.get(node), 'inputs come before'));

  for (const node of topology.nodes) {
    if (node.source !== undefined) {
      const stage = stageOf(node.source.topic, node.source.format);
      stage.entries.push({ node, input: 0 });
      stage.nodes.push(node);
      places.set(node, [{ stage: stage.topic, byKey: true }]);
      continue;
    }
    const given = placesOf(node.inputs);
    const found = [...new Set(given.map((place) => place.stage))];
    const isTogether =
      found.length === 1 && (countOf(found[0] ?? '') === 1 || given.every(({ byKey }) => byKey));
    let homes = found;
    if (node.placement === 'by-key' && !isTogether) {
      const topic = internalTopic(topology, generation, node);
      partitions.set(topic, Math.max(...found.map(countOf)));
      const home = stageOf(topic, 'internal');
      for (const [input, edge] of node.inputs.entries()) {
        const entry = home.entries.push({ node, input }) - 1;
        for (const { stage } of placesOf([edge])) {
          stages.get(stage)?.exits.push({ edge, topic, entry });
          home.upstream.add(stage);
        }
      }
      homes = [topic];
    }
    const byKey =
      !node.rekeys && (node.placement === 'by-key' || given.every((each) => each.byKey));
    places.set(
      node,
      homes.map((stage) => ({ stage, byKey })),
    );
    for (const stage of homes) stages.get(stage)?.nodes.push(node);
  }
  return {
    topology,
    generation,
    stages: inOrder([...stages.values()]),
    declares: declared(topology, partitions),
    isTimed: topology.nodes.some(({ isTimed }) => isTimed),
    hash: hashOf(topology),
  };
}

function internalTopic({ name }: Topology, generation: number, { id }: GraphNode): string {
  return `${topicPrefix(name, generation)}.${id}.repartition`;
}

/** A stage is complete only when all nodes are placed, and one may be made before one that leads to it. */
function inOrder(drafts: readonly Draft[]): readonly Stage[] {
  const ordered: Stage[] = [];
  const left = new Set(drafts);
  while (left.size > 0) {
    for (const draft of left) {
      const isReady = [...draft.upstream].every((topic) =>
        ordered.some((done) => done.topic === topic),
      );
      if (!isReady) continue;
      left.delete(draft);
      ordered.push({ ...draft, upstream: [...draft.upstream] });
    }
  }
  return ordered;
}

function declared(
  { nodes }: Topology,
  internal: ReadonlyMap<string, number>,
): readonly TopicDeclaration[] {
  const written = new Map(internal);
  for (const { writes } of nodes) {
    if (writes === undefined) continue;
    written.set(writes.topic, Math.max(written.get(writes.topic) ?? 1, writes.partitions ?? 1));
  }
  return [...written].map(([name, partitions]) => ({ name, partitions, cleanup: 'delete' }));
}

/** Kafka's; so is a processor's, which topics and consumer groups bear. */
const TOPIC_NAME = /^[a-zA-Z0-9._-]{1,200}$/;

function problemsOf({ name, nodes }: Topology): string[] {
  const problems: string[] = [];
  const read = new Set(nodes.flatMap(({ source }) => source?.topic ?? []));
  const named = [name, ...read, ...nodes.flatMap(({ writes }) => writes?.topic ?? [])];
  for (const each of new Set(named)) {
    if (!TOPIC_NAME.test(each))
      problems.push(
        `name "${each}": expected up to 200 letters, digits, dots, dashes and underscores`,
      );
  }
  for (const { id, writes } of nodes) {
    if (writes !== undefined && read.has(writes.topic))
      problems.push(
        `${id} writes to ${writes.topic}, which the topology reads: it would never end`,
      );
  }
  const formats = new Map<string, string>();
  for (const { source } of nodes) {
    if (source === undefined) continue;
    const other = formats.get(source.topic) ?? source.format;
    if (other !== source.format)
      problems.push(`${source.topic} is read both as changes of a table and as plain records`);
    formats.set(source.topic, source.format);
  }
  const serving = nodes.flatMap(({ id, serves }) =>
    serves === undefined ? [] : [{ who: id, ...serves }],
  );
  problems.push(...servingProblems(serving));
  if (nodes.length === 0) problems.push('it reads nothing');
  return problems;
}

function hashOf({ name, version, nodes }: Topology): string {
  const shape = nodes.map(({ id, kind, inputs, settings }) => [
    id,
    kind,
    inputs.map(({ node, port }) => [node.id, port]),
    settings,
  ]);
  return createHash('sha256')
    .update(JSON.stringify([name, version, shape]))
    .digest('hex')
    .slice(0, 16);
}
