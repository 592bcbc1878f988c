/** How a model's rows are kept. */
export const MATERIALIZATIONS = [
  'view',
  'table',
  'incremental_by_key',
  'incremental_by_time_range',
] as const;
export type Materialization = (typeof MATERIALIZATIONS)[number];

/** A data test of a model, as its header declares it. */
export type ModelTest = Readonly<{
  /** Unique in the project: `unique_customer_segments_customer_id`. */
  name: string;
  severity: 'warn' | 'error';
  /** Of the file, at which it stands; of SQL, at which that begins. */
  line: number;
}> &
  (
    | Readonly<{ kind: 'unique'; columns: readonly string[] }>
    | Readonly<{ kind: 'not_null'; column: string }>
    | Readonly<{ kind: 'accepted_values'; column: string; values: readonly (string | number)[] }>
    /** Values of `column` stand in `field` of the model or source `to`; nulls pass. */
    | Readonly<{
        kind: 'relationships';
        column: string;
        to: Readonly<{ ref: string }> | Readonly<{ source: string }>;
        field: string;
      }>
    /** True of every row; null passes, as in a CHECK constraint. May hold variables. */
    | Readonly<{ kind: 'expression'; expression: string }>
    | Readonly<{ kind: 'row_count'; min?: number; max?: number }>
    /** The newest value of a time column is at most so old at the run's time. */
    | Readonly<{ kind: 'freshness'; column: string; maxAgeSeconds: number }>
    /** A SELECT, itself a template, for rows that should not be. */
    | Readonly<{ kind: 'sql'; sql: string }>
  );

/** Where the rows of a model are served from the store, as one JSON value. */
export type ServedModel = Readonly<{
  /** May hold `{run_time}` (YYYYMMDD_HHMMSS) and `{run_number}`. */
  key: string;
  /** Without it the value stays until it is replaced. */
  expiresSeconds?: number;
  /** At most so many rows; the value tells how many there are. */
  limit: number;
  /** Of the file. */
  line: number;
}>;

export type ModelHeader = Readonly<{
  materialization: Materialization;
  tags: readonly string[];
  owner?: string;
  description?: string;
  /** By column name. */
  columns: Readonly<Record<string, Readonly<{ description?: string; line: number }>>>;
  tests: readonly ModelTest[];
  serve: readonly ServedModel[];
  /** Of an incremental model: which of its rows a change concerns. */
  incremental?: Readonly<{
    /** The key's column, or the time column, of the model. */
    column: string;
    /** By time range: the results of a whole such stretch are made anew. */
    grain?: 'hour' | 'day' | 'month';
    /** By source: the column whose old and new values tell which rows of the model a change concerns. */
    affectedBy: Readonly<Record<string, string>>;
    /** Of the file. */
    line: number;
  }>;
  /** `duckdb`: may use SQL that Spark does not know, and runs on DuckDB alone. */
  dialect: 'portable' | 'duckdb';
}>;

/** A model as its file says; nothing is looked up yet. */
export type Model = Readonly<{
  name: string;
  /** Path as it is shown in messages, such as `models/customer_segments.sql`. */
  file: string;
  header: ModelHeader;
  /** The SELECT with its templates. */
  sql: string;
  /** Line of the file, from 1, at which `sql` begins. */
  line: number;
  /** Models and sources named by `ref()` and `source()`, each once. */
  refs: readonly string[];
  /** `table` or `schema.table`. */
  sources: readonly string[];
  /** Other models, and sources, that its tests name. */
  testRefs: readonly string[];
  testSources: readonly string[];
}>;

/** Values that templates take. */
export type Variables = Readonly<Record<string, string | number | boolean>>;

/** What a template is filled in with. */
export type RenderContext = Readonly<{
  runStartedAtMs: number;
  variables: Variables;
  /** SQL name of a model's relation. */
  relationOf(model: string): string;
  /** SQL name of a source's relation. */
  sourceRelationOf(source: string): string;
  /** The condition that a row of the source concerns what is made anew; `TRUE` in a full refresh. */
  affected(column: string): string;
}>;
