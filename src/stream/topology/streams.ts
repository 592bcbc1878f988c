import { filterOperator, flatMapOperator, mapOperator } from '../operators/map.ts';
import { branchOperator } from '../operators/branch.ts';
import { type JoinType, streamJoinOperator } from '../operators/stream-join.ts';
import { type StreamTableTiming, streamTableJoinOperator } from '../operators/stream-table-join.ts';
import { tableJoinOperator } from '../operators/table-join.ts';
import { latenessOperator } from '../operators/lateness.ts';
import { mergeOperator } from '../operators/merge.ts';
import { newestWindowOperator } from '../operators/newest-window.ts';
import { selectKeyOperator, selectRowKeyOperator } from '../operators/select-key.ts';
import { type ServeOptions, serveOperator, serveTableOperator } from '../operators/serve.ts';
import { type ToOptions, toOperator, toTableOperator } from '../operators/to.ts';
import type { SinkDeclaration } from '../sinks/declarations.ts';
import { type SinkOptions, sinkOperator, sinkTableOperator } from '../sinks/sink-operator.ts';
import type { GraphBuilder } from './graph-builder.ts';
import type { Edge, GraphNode } from './graph.ts';
import type { RowChange } from '../operators/operator.ts';
import { aggregateOperator } from '../operators/aggregate.ts';
import { type ProcessFunctions, processOperator } from '../operators/process.ts';
import { sessionOperator } from '../operators/session.ts';
import { windowOperator } from '../operators/window.ts';
import {
  type FixedWindow,
  type SessionWindow,
  wholeMs,
  type Window,
  type Windowed,
} from './windows.ts';
import { changesOperator, tableFilterOperator, tableMapOperator } from '../operators/table-map.ts';
import { retractingAggregateOperator } from '../operators/retracting-aggregate.ts';

/*
 * What topologies are described with. Streams, groups and tables lead to each other, so they are in
 * one file; what each operator does is in a file of its own.
 */

type Named = Readonly<{ name?: string }>;

/** A function of an element; `timeMs` is its event time. */
export type OfElement<K, V, R> = (value: V, key: K, timeMs: number) => R;

/** How close in time elements meet; `graceMs`: so long after that, late ones still do. */
export type StreamJoinOptions = Named &
  Readonly<{ graceMs?: number }> &
  (Readonly<{ withinMs: number }> | Readonly<{ beforeMs: number; afterMs: number }>);

export type StreamTableJoinOptions = Named &
  Readonly<{ timing?: StreamTableTiming; graceMs?: number }>;

/** Facts that follow each other, each under a key, at a time. */
export class Stream<K, V> {
  readonly graph: GraphBuilder;
  readonly edge: Edge;

  constructor(graph: GraphBuilder, node: GraphNode, port = '') {
    this.graph = graph;
    this.edge = { node, port };
  }

  filter<W extends V>(test: (value: V, key: K) => value is W): Stream<K, W>;
  filter(test: OfElement<K, V, boolean>): Stream<K, V>;
  filter(test: OfElement<K, V, boolean>): Stream<K, V> {
    return new Stream(this.graph, this.graph.add(filterOperator(this.edge, test as never)));
  }

  /** The key stays. */
  map<W>(to: OfElement<K, V, W>): Stream<K, W> {
    return new Stream(this.graph, this.graph.add(mapOperator(this.edge, to as never)));
  }

  flatMap<W>(to: OfElement<K, V, Iterable<W>>): Stream<K, W> {
    return new Stream(this.graph, this.graph.add(flatMapOperator(this.edge, to as never)));
  }

  /** Whatever needs elements of one key together has them repartitioned first, where it must. */
  selectKey<L>(of: OfElement<K, V, L>): Stream<L, V> {
    return new Stream(this.graph, this.graph.add(selectKeyOperator(this.edge, of as never)));
  }

  merge<W>(other: Stream<K, W>): Stream<K, V | W> {
    return new Stream(this.graph, this.graph.add(mergeOperator([this.edge, other.edge])));
  }

  /** Each element goes to the first branch whose predicate holds, else to `rest`. */
  branch<Name extends string>(
    predicates: Readonly<Record<Name, OfElement<K, V, boolean>>>,
  ): Readonly<Record<Name | 'rest', Stream<K, V>>> {
    const node = this.graph.add(branchOperator(this.edge, predicates as never));
    const ports = [...Object.keys(predicates), 'rest'] as (Name | 'rest')[];
    const streams = ports.map((port) => [port, new Stream<K, V>(this.graph, node, port)]);
    return Object.fromEntries(streams) as Record<Name | 'rest', Stream<K, V>>;
  }

  /**
   * Parts elements by whether their window is open, of several the last. All that is made of `onTime`
   * in such windows then agrees on what came too late, which is counted once.
   */
  byLateness(window: FixedWindow): Readonly<Record<'onTime' | 'late', Stream<K, V>>> {
    const node = this.graph.add(latenessOperator(this.edge, window));
    return {
      onTime: new Stream(this.graph, node, 'on-time'),
      late: new Stream(this.graph, node, 'late'),
    };
  }

  groupByKey(): Grouped<K, V> {
    return new Grouped(this.graph, this.edge);
  }

  groupBy<L>(of: OfElement<K, V, L>): Grouped<L, V> {
    return this.selectKey(of).groupByKey();
  }

  /**
   * Elements of the same key whose times are close: the other's is at most `beforeMs` before and
   * `afterMs` after this one's, or `withinMs` either way. `left`, `outer`: one that met none comes out
   * alone, once no other can come any more.
   */
  join<W, R>(
    other: Stream<K, W>,
    joiner: (left: V, right: W, key: K) => R,
    options: StreamJoinOptions & Readonly<{ type?: 'inner' }>,
  ): Stream<K, R>;
  join<W, R>(
    other: Stream<K, W>,
    joiner: (left: V, right: W | undefined, key: K) => R,
    options: StreamJoinOptions & Readonly<{ type: 'left' }>,
  ): Stream<K, R>;
  join<W, R>(
    other: Stream<K, W>,
    joiner: (left: V | undefined, right: W | undefined, key: K) => R,
    options: StreamJoinOptions & Readonly<{ type: 'outer' }>,
  ): Stream<K, R>;
  join(
    other: Stream<K, unknown>,
    joiner: (left: never, right: never, key: K) => unknown,
    { type = 'inner', graceMs = 0, name, ...span }: StreamJoinOptions & { type?: JoinType },
  ): Stream<K, unknown> {
    const window = { ...spanOf(span), graceMs: wholeMs(graceMs, 'graceMs of a join') };
    const inputs = [this.edge, other.edge] as const;
    const node = this.graph.add(streamJoinOperator(inputs, window, type, joiner as never, name));
    return new Stream(this.graph, node);
  }

  /**
   * Each element with the table's row of its key: the row as it was at the element's time, for which
   * the element waits until time has passed it; or, with `timing: 'arrival'`, as it is known now.
   */
  joinTable<W, R>(
    table: Table<K, W>,
    joiner: (value: V, row: W, key: K) => R,
    options?: StreamTableJoinOptions & Readonly<{ type?: 'inner' }>,
  ): Stream<K, R>;
  joinTable<W, R>(
    table: Table<K, W>,
    joiner: (value: V, row: W | undefined, key: K) => R,
    options: StreamTableJoinOptions & Readonly<{ type: 'left' }>,
  ): Stream<K, R>;
  joinTable(
    table: Table<K, unknown>,
    joiner: (value: never, row: never, key: K) => unknown,
    {
      type = 'inner',
      timing = 'event',
      graceMs = 0,
      name,
    }: StreamTableJoinOptions & { type?: 'inner' | 'left' } = {},
  ): Stream<K, unknown> {
    const inputs = [this.edge, table.edge] as const;
    const grace = wholeMs(graceMs, 'graceMs of a join');
    const options = { isLeft: type === 'left', timing, graceMs: grace };
    const spec = streamTableJoinOperator(inputs, options, joiner as never, name);
    return new Stream(this.graph, this.graph.add(spec));
  }

  /**
   * Whatever else there is to be done with the elements of each key, in the order in which they come:
   * with a state of its own, and timers in event time. What it emits has the key at hand; `selectKey`
   * gives it another.
   */
  process<Out, S = unknown>(
    options: ProcessFunctions<K, V, S, Out> & Readonly<{ name: string }>,
  ): Stream<K, Out> {
    const { name, ...functions } = options;
    return new Stream(
      this.graph,
      this.graph.add(processOperator(this.edge, functions as never, name)),
    );
  }

  /**
   * Writes each element to a topic, exactly once; keys that are no text become JSON, and `undefined`
   * a tombstone.
   */
  to(topic: string, options: ToOptions<K, V> = {}): void {
    this.graph.add(toOperator(this.edge, topic, options as never));
  }

  /** Writes each element out of the platform, by a task of its own: what is slow there slows nothing here. */
  sink(sink: SinkDeclaration, options: SinkOptions): void {
    this.graph.add(sinkOperator(this.edge, this.graph.topology, sink, options));
  }

  /** Keeps values under keys that readers see: one writer a key, so elements go where their key is. */
  serve(options: ServeOptions<K, V>): void {
    this.graph.add(serveOperator(this.edge, options as never));
  }
}

/** What an aggregate of type A is made by; `add` gives a new value, and never changes the old. */
export type Aggregator<K, V, A> = Readonly<{
  /** Undefined where there is none: then the first element is the aggregate, as it is. */
  initial: (() => A) | undefined;
  add: (aggregate: A, value: V, key: K, timeMs: number) => A;
  /** Of two sessions that turn out to be one. */
  merge?: (a: A, b: A) => A;
}>;

/** Elements by key, to be made into one value a key. */
export class Grouped<K, V> {
  readonly #graph: GraphBuilder;
  readonly #edge: Edge;

  constructor(graph: GraphBuilder, edge: Edge) {
    this.#graph = graph;
    this.#edge = edge;
  }

  count(options: Named = {}): Table<K, number> {
    return this.#table('count', COUNT, options);
  }

  reduce(add: (a: V, b: V) => V, options: Named = {}): Table<K, V> {
    return this.#table('reduce', { initial: undefined, add }, options);
  }

  aggregate<A>(
    initial: () => A,
    add: Aggregator<K, V, A>['add'],
    options: Named = {},
  ): Table<K, A> {
    return this.#table('aggregate', { initial, add }, options);
  }

  windowedBy(window: FixedWindow): WindowedGroup<K, V>;
  windowedBy(window: SessionWindow): WindowedGroup<K, V, undefined>;
  windowedBy(window: Window): WindowedGroup<K, V, undefined> {
    return new WindowedGroup(this.#graph, this.#edge, window);
  }

  #table<A>(kind: string, aggregator: Aggregator<K, V, A>, { name }: Named): Table<K, A> {
    const node = this.#graph.add(aggregateOperator(kind, this.#edge, aggregator as never, name));
    return new Table(this.#graph, node);
  }
}

/** Elements by key and window. `Gone`: what updates say of a window that is no more. */
export class WindowedGroup<K, V, Gone extends undefined = never> {
  readonly #graph: GraphBuilder;
  readonly #edge: Edge;
  readonly #window: Window;

  constructor(graph: GraphBuilder, edge: Edge, window: Window) {
    this.#graph = graph;
    this.#edge = edge;
    this.#window = window;
  }

  count(options: Named = {}): WindowedTable<K, V, number, Gone> {
    return this.#windowed('count', { ...COUNT, merge: (a, b) => a + b }, options);
  }

  reduce(add: (a: V, b: V) => V, options: Named = {}): WindowedTable<K, V, V, Gone> {
    return this.#windowed('reduce', { initial: undefined, add, merge: add }, options);
  }

  /**
   * `merge` makes one aggregate of two, of which the first is of earlier elements. Sessions need it:
   * an element between two of them makes them one. Where windows overlap and only the final values
   * are asked for, each element is then added once, and not to every window that it is in.
   */
  aggregate<A>(
    initial: () => A,
    add: Aggregator<K, V, A>['add'],
    { merge, ...named }: Named & Pick<Aggregator<K, V, A>, 'merge'> = {},
  ): WindowedTable<K, V, A, Gone> {
    return this.#windowed('aggregate', { initial, add, ...(merge && { merge }) }, named);
  }

  #windowed<A>(
    kind: string,
    aggregator: Aggregator<K, V, A>,
    { name }: Named,
  ): WindowedTable<K, V, A, Gone> {
    const window = this.#window;
    if (window.type === 'session' && aggregator.merge === undefined)
      throw new TypeError('an aggregate in sessions needs a merge function: two may become one');
    const spec =
      window.type === 'session'
        ? sessionOperator(kind, this.#edge, window, aggregator as never, name)
        : windowOperator(kind, this.#edge, window, aggregator as never, name);
    return new WindowedTable(this.#graph, this.#graph.add(spec), window.graceMs);
  }
}

/** An aggregate a key and window. */
export class WindowedTable<K, V, A, Gone extends undefined = never> {
  readonly #graph: GraphBuilder;
  readonly #node: GraphNode;
  readonly #graceMs: number;

  constructor(graph: GraphBuilder, node: GraphNode, graceMs: number) {
    this.#graph = graph;
    this.#node = node;
    this.#graceMs = graceMs;
  }

  /**
   * The aggregate after each element. A session that an element makes longer, or part of another,
   * is another window from then on: what it was before comes first, with `undefined`, which `to`
   * writes as a tombstone and `serve` takes as a removal.
   */
  updates(): Stream<Windowed<K>, A | Gone> {
    return new Stream(this.#graph, this.#node, 'updates');
  }

  /**
   * Those updates that are of the newest window of their key: what is served under the key alone
   * never goes back to an older one.
   */
  newest(): Stream<Windowed<K>, A | Gone> {
    const updates = { node: this.#node, port: 'updates' };
    return new Stream(this.#graph, this.#graph.add(newestWindowOperator(updates, this.#graceMs)));
  }

  /** The aggregate once, when its window closes: the least watermark of its inputs is past its end and grace. */
  final(): Stream<Windowed<K>, A> {
    return new Stream(this.#graph, this.#node, 'final');
  }

  /** Elements that came after their window had closed. */
  late(): Stream<K, V> {
    return new Stream(this.#graph, this.#node, 'late');
  }
}

const COUNT = { initial: () => 0, add: (count: number) => count + 1 };

/** One row a key, as it is now; a change takes back what the row was. */
export class Table<K, V> {
  readonly graph: GraphBuilder;
  readonly edge: Edge;

  constructor(graph: GraphBuilder, node: GraphNode, port = '') {
    this.graph = graph;
    this.edge = { node, port };
  }

  /** Rows that do not pass are not there; nor is one that no longer does. */
  filter(test: (row: V, key: K) => boolean): Table<K, V> {
    return new Table(this.graph, this.graph.add(tableFilterOperator(this.edge, test as never)));
  }

  map<W>(to: (row: V, key: K) => W): Table<K, W> {
    return new Table(this.graph, this.graph.add(tableMapOperator(this.edge, to as never)));
  }

  /** Rows by another key, many of which may share one. */
  groupBy<L>(of: (row: V, key: K) => L): GroupedTable<L, V> {
    return new GroupedTable(this.graph, {
      node: this.graph.add(selectRowKeyOperator(this.edge, of as never)),
      port: '',
    });
  }

  /** Rows of both tables under the same key. `left`, `outer`: also where the other has none. */
  join<W, R>(
    other: Table<K, W>,
    joiner: (left: V, right: W, key: K) => R,
    options?: Named & Readonly<{ type?: 'inner' }>,
  ): Table<K, R>;
  join<W, R>(
    other: Table<K, W>,
    joiner: (left: V, right: W | undefined, key: K) => R,
    options: Named & Readonly<{ type: 'left' }>,
  ): Table<K, R>;
  join<W, R>(
    other: Table<K, W>,
    joiner: (left: V | undefined, right: W | undefined, key: K) => R,
    options: Named & Readonly<{ type: 'outer' }>,
  ): Table<K, R>;
  join(
    other: Table<K, unknown>,
    joiner: (left: never, right: never, key: K) => unknown,
    { type = 'inner', name }: Named & { type?: JoinType } = {},
  ): Table<K, unknown> {
    const inputs = [this.edge, other.edge] as const;
    const node = this.graph.add(tableJoinOperator(inputs, type, joiner as never, name));
    return new Table(this.graph, node);
  }

  /** Each change, with the row before and after it. */
  changes(): Stream<K, Pick<RowChange<V>, 'before' | 'after'>> {
    return new Stream(this.graph, this.graph.add(changesOperator(this.edge)));
  }

  /** Writes each change to a topic: the row, or a tombstone. */
  to(topic: string, options: Readonly<{ partitions?: number }> = {}): void {
    this.graph.add(toTableOperator(this.edge, topic, options));
  }

  /** Writes each row out of the platform, and removes it there with the row. */
  sink(sink: SinkDeclaration, options: SinkOptions): void {
    this.graph.add(sinkTableOperator(this.edge, this.graph.topology, sink, options));
  }

  /** Keeps each row under a key that readers see, and removes it with the row. */
  serve(options: ServeOptions<K, V>): void {
    this.graph.add(serveTableOperator(this.edge, options as never));
  }
}

/** Rows by a key that they share, to be made into one value a key. */
export class GroupedTable<K, V> {
  readonly #graph: GraphBuilder;
  readonly #edge: Edge;

  constructor(graph: GraphBuilder, edge: Edge) {
    this.#graph = graph;
    this.#edge = edge;
  }

  count(options: Named = {}): Table<K, number> {
    const retract = (count: number): number => count - 1;
    return this.#aggregate(
      'count',
      { initial: () => 0, add: (count: number) => count + 1, retract },
      options,
    );
  }

  /** `retract` takes a row back out of what `add` made: the two undo each other, in any order of rows. */
  reduce(add: (a: V, b: V) => V, retract: (a: V, b: V) => V, options: Named = {}): Table<K, V> {
    return this.#aggregate('reduce', { initial: undefined, add, retract }, options);
  }

  aggregate<A>(
    initial: () => A,
    add: (aggregate: A, row: V, key: K) => A,
    retract: (aggregate: A, row: V, key: K) => A,
    options: Named = {},
  ): Table<K, A> {
    return this.#aggregate('aggregate', { initial, add, retract }, options);
  }

  #aggregate<A>(kind: string, aggregator: unknown, { name }: Named): Table<K, A> {
    const node = this.#graph.add(
      retractingAggregateOperator(kind, this.#edge, aggregator as never, name),
    );
    return new Table(this.#graph, node);
  }
}

function spanOf(
  span: Readonly<{ withinMs: number }> | Readonly<{ beforeMs: number; afterMs: number }>,
): Readonly<{ beforeMs: number; afterMs: number }> {
  const { beforeMs, afterMs } =
    'withinMs' in span ? { beforeMs: span.withinMs, afterMs: span.withinMs } : span;
  const name = 'withinMs' in span ? 'withinMs' : 'beforeMs and afterMs';
  return {
    beforeMs: wholeMs(beforeMs, `${name} of a join`),
    afterMs: wholeMs(afterMs, `${name} of a join`),
  };
}
