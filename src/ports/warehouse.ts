import type { SqlColumn } from './sql-engine.ts';

/** Parquet files under one name. Without files: no rows, of these columns. */
export type FileRelation = Readonly<{
  name: string;
  /** Absolute paths. */
  files: readonly string[];
  /** Types in the words that both engines know, such as `DECIMAL(10,2)`, `TIMESTAMP`, `VARCHAR`, `BIGINT`. */
  columns: readonly SqlColumn[];
}>;

/** One thing to do. A step may read, by name, file relations and the steps before it that it comes `after`. */
export type WarehouseStep = Readonly<{
  name: string;
  /** One SELECT in the SQL that all engines agree on. */
  sql: string;
  /** Steps that must have succeeded; else this one is skipped. A step they name comes earlier in the job. */
  after: readonly string[];
}> &
  (
    | Readonly<{ kind: 'view' }>
    /** Its rows become Parquet files in this folder, which is created and must not exist; then they are what `name` is. */
    | Readonly<{ kind: 'table'; directory: string }>
    /**
     * A query for rows that should not be. When there are some, the first `keep` become Parquet
     * files in `directory`; with severity `error` the step then counts as failed for those after it.
     */
    | Readonly<{ kind: 'check'; severity: 'warn' | 'error'; keep: number; directory: string }>
  );

export type WarehouseJob = Readonly<{
  relations: readonly FileRelation[];
  steps: readonly WarehouseStep[];
}>;

export type StepResult = Readonly<{ name: string; seconds: number }> &
  (
    | Readonly<{
        outcome: 'done';
        /** Rows of a table; rows that a check found; 0 of a view. */
        rows: number;
        /** Absolute paths of the Parquet files that the step wrote, flushed to disk. */
        files: readonly string[];
        /** Of a view and of a table, in DuckDB's words. */
        columns: readonly SqlColumn[];
      }>
    /** `problem`: the engine's own words, in one line or few; no stack. */
    | Readonly<{ outcome: 'failed'; problem: string; line?: number }>
    /** `because`: the step that failed, or was skipped itself. */
    | Readonly<{ outcome: 'skipped'; because: string }>
  );

/**
 * Runs SQL over Parquet files and writes Parquet files.
 *
 * Contract, checked for every adapter by `test/contracts/warehouse.ts`:
 * - Steps run in the job's order; a failed one stops those after it, and nothing else.
 * - Every step has one result, told to `onStep` as it ends; the results come in the job's order.
 * - A failed step leaves no files behind that its result doesn't name.
 * - Rows, their types and their order under ORDER BY are those of every other adapter, for SQL in the portable subset; time zone UTC.
 * - Memory is bounded; what does not fit is spilled to disk.
 * - Aborting `signal` ends the work, and rejects with the signal's reason; what a killed run left is in its steps' folders alone.
 * - Rejects with `warehouse_unavailable` when the engine can't be started or went away, and never
 *   because of a step.
 */
export interface Warehouse extends AsyncDisposable {
  /** What is shown: `DuckDB 1.5.6`, `Spark 4.3.0 at local[*]`. */
  readonly description: string;

  /** The SQL that it takes: what all engines agree on, or all that DuckDB can. */
  readonly dialect: 'portable' | 'duckdb';

  run(
    job: WarehouseJob,
    onStep: (event: Readonly<{ started: string }> | StepResult) => void,
    signal: AbortSignal,
  ): Promise<readonly StepResult[]>;
}
