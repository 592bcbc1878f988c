import { keyText, type RowChange } from '../operators/operator.ts';
import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import type { SinkDeclaration } from './declarations.ts';

export type SinkOptions = Readonly<{
  /** Of the sink in its topology: its topic and its task bear it. */
  name: string;
  /** Of the sink's topic, so many tasks write at once; default 1. */
  partitions?: number;
}>;

/** What runs a sink, and the topic that it reads: the processor's name, and its own. */
export function sinkName(topology: string, sink: string): string {
  return `${topology}.${sink}`;
}

export function sinkOperator(
  input: Edge,
  topology: string,
  sink: SinkDeclaration,
  options: SinkOptions,
): NodeSpec {
  return writing(input, topology, sink, options, (value) => value);
}

/** A row that goes is a removal. Changes of rows of one key stay in order, so it is where its key is. */
export function sinkTableOperator(
  input: Edge,
  topology: string,
  sink: SinkDeclaration,
  options: SinkOptions,
): NodeSpec {
  const rowOf = (value: unknown): unknown => (value as RowChange).after ?? null;
  return { ...writing(input, topology, sink, options, rowOf), placement: 'by-key' };
}

function writing(
  input: Edge,
  topology: string,
  sink: SinkDeclaration,
  { name, partitions }: SinkOptions,
  valueOf: (value: unknown) => unknown,
): NodeSpec {
  const topic = sinkName(topology, name);
  return {
    name,
    kind: 'sink',
    inputs: [input],
    settings: { topic },
    writes: { topic, partitions },
    sink,
    open: ({ put }) => ({
      accept(_, key, element, timeMs) {
        const value = valueOf(element);
        const json = value === null ? null : JSON.stringify(value);
        if (json === undefined)
          throw new TypeError(`nothing to write to ${topic}: the value is undefined`);
        put(topic, key === null || key === undefined ? null : keyText(key), json, timeMs);
      },
    }),
  };
}
