import type { GraphNode } from './graph.ts';

/** What a node is made of: all but its id and what most nodes have alike. */
export type NodeSpec = Pick<GraphNode, 'kind' | 'inputs' | 'open'> &
  Partial<Omit<GraphNode, 'id' | 'kind' | 'inputs' | 'open'>> & { name?: string | undefined };

const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

/** Collects the nodes of one topology, in an order in which each comes after its inputs. */
export class GraphBuilder {
  /** The name of what is described. */
  readonly topology: string;
  readonly #nodes = new Map<string, GraphNode>();
  readonly #counts = new Map<string, number>();
  #isDone = false;

  constructor(topology: string) {
    this.topology = topology;
  }

  /** All nodes; there will be no others. */
  done(): readonly GraphNode[] {
    this.#isDone = true;
    return [...this.#nodes.values()];
  }

  /** Nodes without a name are numbered by kind, in the order in which they are described. */
  add({ name, ...spec }: NodeSpec): GraphNode {
    if (this.#isDone)
      throw new TypeError(
        `topology ${this.topology} is described already: found a further ${spec.kind}, of a stream that left its description`,
      );
    const count = (this.#counts.get(spec.kind) ?? 0) + 1;
    this.#counts.set(spec.kind, count);
    const id = name ?? `${spec.kind}-${count}`;
    if (!NAME.test(id))
      throw new TypeError(`name of a ${spec.kind}: expected ${NAME.source}, found ${id}`);
    if (this.#nodes.has(id)) throw new TypeError(`two operators are named ${id}`);
    const stranger = spec.inputs.find(({ node }) => this.#nodes.get(node.id) !== node);
    if (stranger !== undefined)
      throw new TypeError(
        `${id} of topology ${this.topology} takes what comes from ${stranger.node.id} of another: write that to a topic there, and read the topic here`,
      );
    const node: GraphNode = {
      placement: 'anywhere',
      rekeys: false,
      delays: {},
      isStateful: false,
      isTimed: false,
      settings: {},
      ...spec,
      id,
    };
    this.#nodes.set(id, node);
    return node;
  }
}
