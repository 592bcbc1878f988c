import type { TableRef } from '../../domain/table.ts';
import { changeSource, type Fact, jsonSource, tableSource } from '../operators/source.ts';
import type { OnError } from '../tasks/error-policy.ts';
import { GraphBuilder } from './graph-builder.ts';
import type { GraphNode } from './graph.ts';
import { Stream, Table } from './streams.ts';

/** What is made of streams and tables, under one name. Made by `topology`. */
export type Topology = Readonly<{
  name: string;
  /** Another version is another topology, whatever its shape: its state is built anew. */
  version: string;
  nodes: readonly GraphNode[];
  /** What becomes of a record on which a function throws, where that is not to be a dead letter at once. */
  onError?: OnError;
}>;

/** Where the streams and tables of a topology come from. */
export interface Sources {
  /** Facts: each change of a row, as it happened. Copied rows only if asked for. */
  readonly stream: <K, R>(
    table: TableRef<K, R>,
    options?: Readonly<{ copied?: boolean; timeMs?: (row: R) => number }>,
  ) => Stream<K, Fact<R>>;
  /** Rows as they were inserted; neither copied nor updated ones. */
  readonly created: <K, R>(
    table: TableRef<K, R>,
    options?: Readonly<{ timeMs?: (row: R) => number }>,
  ) => Stream<K, R>;
  /** The rows there are: each is kept, so that an update takes back what the row was. */
  readonly table: <K, R>(
    table: TableRef<K, R>,
    options?: Readonly<{ name?: string }>,
  ) => Table<K, R>;
  /** Records of a topic that is no table's: JSON values under text keys. Tombstones are left out. */
  readonly topic: <V>(
    name: string,
    options?: Readonly<{ timeMs?: (value: V) => number }>,
  ) => Stream<string | null, V>;
}

/**
 * Describes a processor by streams and tables. `build` runs at once, and only describes: its
 * functions run later, more than once for the same element, so they have no effects, read no
 * clock and no random numbers, and change nothing that they are given.
 */
export function topology(
  name: string,
  options: Readonly<{ version?: string; onError?: OnError }>,
  build: (sources: Sources) => void,
): Topology {
  const graph = new GraphBuilder(name);
  const facts = <K, R>(
    { topic }: TableRef<K, R>,
    { copied = false, timeMs }: { copied?: boolean; timeMs?: (row: R) => number } = {},
  ): Stream<K, Fact<R>> =>
    new Stream(
      graph,
      graph.add(changeSource(topic, { copied, timeMs: timeMs as (row: never) => number })),
    );
  const built: unknown = build({
    stream: facts,
    created: (table, created) =>
      facts(table, created)
        .filter((fact): fact is Extract<typeof fact, { op: 'c' }> => fact.op === 'c')
        .map(({ after }) => after),
    table: ({ topic }, named) => new Table(graph, graph.add(tableSource(topic, named?.name))),
    topic: (from, { timeMs } = {}) =>
      new Stream(graph, graph.add(jsonSource(from, timeMs as (value: never) => number))),
  });
  if (built instanceof Promise)
    throw new TypeError(
      `topology ${name} is described by an async function: expected one that is not`,
    );
  const { version = '1', onError } = options;
  return { name, version, nodes: graph.done(), ...(onError !== undefined && { onError }) };
}
