/** A value as JSON has it. Decimals, whole numbers past 2^53, dates and timestamps are text. */
export type SqlValue =
  | string
  | number
  | boolean
  | null
  | readonly SqlValue[]
  | Readonly<{ [name: string]: SqlValue }>;

/** `type` as DuckDB writes it, such as `DECIMAL(10,2)`. */
export type SqlColumn = Readonly<{ name: string; type: string }>;

export type SqlRows = Readonly<{
  columns: readonly SqlColumn[];
  rows: readonly (readonly SqlValue[])[];
}>;

/**
 * An embedded SQL engine of one's own: what reads and writes the lake's files, parses models and
 * answers questions. Its tables and views live as long as it does; statements run one at a time.
 * Bounded in memory; it spills to disk. It loads no extensions and reaches no network.
 *
 * Rejects with `sql_failed`, whose facts `problem` (the engine's own words) and `line` (from 1,
 * where the engine tells) say what is wrong; with `lake_file_damaged` when a Parquet file is
 * truncated, missing or not one, with the file's path; with `disk_full`. Ends a statement when
 * its `signal` aborts, and rejects with the signal's reason.
 */
export interface SqlEngine extends AsyncDisposable {
  /** Runs statements for their effect; returns how many rows the last one wrote. */
  run(sql: string, signal?: AbortSignal): Promise<number>;

  /** All rows of one statement; `parameters` are `$1`, `$2`, … */
  query(sql: string, parameters?: readonly SqlValue[], signal?: AbortSignal): Promise<SqlRows>;

  /**
   * As `query`, some thousand rows at a time, in constant memory; at least one batch, which tells
   * the columns. Other statements wait until its iteration has ended: don't run one within it.
   */
  read(sql: string, signal?: AbortSignal): AsyncIterable<SqlRows>;
}
