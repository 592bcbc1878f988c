import type { SinkDeclaration } from '../sinks/declarations.ts';
import type { Operator, OperatorContext } from '../operators/operator.ts';

/** An output of a node: most have one, `''`. */
export type Edge = Readonly<{ node: GraphNode; port: string }>;

/** Records of a topic that enter the topology. */
export type Source = Readonly<{
  topic: string;
  /** Change events are decoded as such; anything else is JSON, or null for a tombstone. */
  format: 'changes' | 'json';
  /** Copied rows are taken into account. */
  takesCopies: boolean;
  /** Of what the source emits: the event time; undefined takes the record's own. */
  timeOf?: (value: never) => number;
}>;

/** How what an operator keeps is read from outside; by key, as JSON. */
export type KeptResults =
  | Readonly<{ form: 'values' }>
  /** Beside what the operator keeps for itself, as `value`. */
  | Readonly<{ form: 'parts' }>
  | Readonly<{
      form: 'windows';
      sizeMs: number;
      advanceMs: number;
      /** Windows are kept as panes, each `advanceMs` long, which this puts together. */
      merge?: (a: unknown, b: unknown) => unknown;
    }>
  | Readonly<{ form: 'sessions'; gapMs: number }>;

/** What an operator is, before it runs anywhere: a topology is nothing but these. */
export type GraphNode = Readonly<{
  /** Unique in its topology. State, internal topics and dead letters are known by it. */
  id: string;
  kind: string;
  inputs: readonly Edge[];
  /**
   * `by-key`: its inputs must meet in one task, each key in one only; where they do not, they are
   * repartitioned before it. `anywhere`: it may run wherever its input is.
   */
  placement: 'anywhere' | 'by-key';
  /** What it emits is no longer in the partition of its key. */
  rekeys: boolean;
  /** How far what it emits may be behind the watermark, on these ports; on others 0. */
  delays: Readonly<Record<string, number>>;
  /** It asks for state by key: such nodes are probed. */
  isStateful: boolean;
  /** What it keeps is a result, which may be asked for. */
  keeps?: KeptResults;
  /** It may wait for time to pass. */
  isTimed: boolean;
  /** What makes it another topology when it changes, beside the shape; functions can't be told. */
  settings: Readonly<Record<string, string | number | boolean>>;
  source?: Source;
  /** Topic that it writes to, to be declared. */
  writes?: Readonly<{ topic: string; partitions: number | undefined }>;
  /** Where what it writes goes on to, by a task of its own. */
  sink?: SinkDeclaration;
  /** Prefix of the served keys that it writes. */
  serves?: Readonly<{ prefix: string; isCommutative: boolean }>;
  open(context: OperatorContext): Operator;
}>;
