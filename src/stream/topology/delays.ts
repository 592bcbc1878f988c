import type { Compiled, Stage } from './compile.ts';
import type { Edge, GraphNode } from './graph.ts';

/** How far what goes through a stage may be behind the stage's watermark. */
export type Delays = Readonly<{
  /** What a node takes. */
  of(node: GraphNode): number;
  /** What comes out of a node. */
  out(edge: Edge): number;
}>;

export function delaysIn(stage: Stage): Delays {
  const inputs = new Map<GraphNode, number>();
  const out = ({ node, port }: Edge): number => (inputs.get(node) ?? 0) + (node.delays[port] ?? 0);
  for (const node of stage.nodes) {
    const delays = node.inputs
      .filter((edge) => takersOf(stage, edge.node, edge.port).some(({ taker }) => taker === node))
      .map(out);
    inputs.set(node, Math.max(0, ...delays));
  }
  return { of: (node) => inputs.get(node) ?? 0, out };
}

/** By topic that a stage writes for another: how far what it writes there may be behind its watermark. */
export function exitDelaysOf(stage: Stage): ReadonlyMap<string, number> {
  const delays = delaysIn(stage);
  const found = new Map<string, number>();
  for (const { edge, topic } of stage.exits) {
    found.set(topic, Math.max(found.get(topic) ?? 0, delays.out(edge)));
  }
  return found;
}

/** How far what a stage reads may be behind the time that has passed at the sources. */
export function delayTo({ stages }: Compiled, stage: Stage): number {
  const delays = new Map<string, number>();
  for (const each of stages) {
    const own = delays.get(each.topic) ?? 0;
    for (const [topic, delay] of exitDelaysOf(each)) {
      delays.set(topic, Math.max(delays.get(topic) ?? 0, own + delay));
    }
  }
  return delays.get(stage.topic) ?? 0;
}

/** Nodes of the stage that take what comes out of a port. */
export function takersOf(
  stage: Stage,
  node: GraphNode,
  port: string,
): { taker: GraphNode; input: number }[] {
  return stage.nodes.flatMap((taker) =>
    taker.inputs.flatMap((edge, input) => {
      if (edge.node !== node || edge.port !== port) return [];
      // Where it was repartitioned before the taker, the taker has it from its own stage's topic.
      const isEntry = stage.entries.some((entry) => entry.node === taker && entry.input === input);
      return isEntry ? [] : [{ taker, input }];
    }),
  );
}
