import type { Processor } from '../stream/processor.ts';
import type { Topology } from '../stream/topology/topology.ts';
import type { VariableReader } from './config/environment.ts';

/** Runs SQL in the source; parameters are `$1`, `$2`, … Values come as PostgreSQL's text, null as null. */
export type SourceQuery = (
  sql: string,
  parameters?: readonly unknown[],
) => Promise<readonly Readonly<Record<string, string | null>>[]>;

/** Reads served keys and task state while processors are held still. */
export type StoreReader = Readonly<{
  get(key: string): Promise<string | undefined>;
  members(key: string): Promise<readonly string[]>;
  /** In byte order. */
  keys(prefix: string): AsyncIterable<string>;
}>;

/** One figure that source and store must agree on. */
export type Figure = Readonly<{ name: string; source: string; store: string }>;

/** What a generator is told. Its randomness comes from `seed`, its time from the database. */
export type GeneratorOptions = Readonly<{
  seed: number;
  recordsPerBatch: number;
  /** Pause between batches, ms. */
  intervalMs: number;
  /** Rows a second over all tables; then batches follow each other without a pause. */
  rate?: number;
  /** Ends after so many batches. */
  batches?: number;
  onBatch(rows: number): void;
}>;

/**
 * The environment, for a pipeline's own settings. What is wrong with any of them is told together,
 * and keeps the pipeline from starting.
 */
export type Variables = Pick<
  VariableReader,
  'text' | 'number' | 'integer' | 'decimal' | 'oneOf' | 'refuse'
>;

export type Processors = readonly (Processor | Topology)[];

export type Pipeline = Readonly<{
  name: string;
  /** The connector's configuration in Debezium's form, beside pipeline.ts. Default connector.json. */
  connector?: string;
  /** File of SQL beside pipeline.ts that creates the demonstration's tables; applied to the embedded server, to another only with --demo. */
  schema?: string;
  processors: Processors;
  /** Partitions of a table's topic, by topic name; else 1. */
  partitions?: Readonly<Record<string, number>>;
  /** Folder of SQL models beside pipeline.ts. Default: `models`, where it exists. */
  models?: string;
  /** What models take by `{{ var('name') }}`; the command line's `--var` wins. */
  modelVariables?: Readonly<Record<string, string | number | boolean>>;
  /** Inserts demonstration rows, until `signal` aborts. `query` runs each statement; `transaction` runs many as one. */
  generate?(
    database: GeneratorDatabase,
    options: GeneratorOptions,
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * Compares what the processors serve with the source, of which `query` sees the same instant: it is
   * one transaction, so that cursors can be declared. Figures agree when their texts are the same.
   */
  reconcile?(query: SourceQuery, store: StoreReader): AsyncIterable<Figure>;
}>;

export type GeneratorDatabase = Readonly<{
  query: SourceQuery;
  transaction<T>(work: (query: SourceQuery) => Promise<T>): Promise<T>;
}>;

/** A pipeline whose processors may depend on the environment. */
export type PipelineDefinition = Omit<Pipeline, 'processors'> &
  Readonly<{ processors: Processors | ((variables: Variables) => Processors) }>;

/** Names a pipeline; `pipeline.ts` exports what this returns as `pipeline`. */
export function definePipeline(pipeline: Pipeline): Pipeline;
export function definePipeline(pipeline: PipelineDefinition): PipelineDefinition;
export function definePipeline(pipeline: PipelineDefinition): PipelineDefinition {
  return pipeline;
}
