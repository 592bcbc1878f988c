import { copyingWarning } from '../../batch/lake/copying-text.ts';
import { rowsAsOf, stateSql } from '../../batch/lake/history.ts';
import type { Lake } from '../../batch/lake/lake.ts';
import type { LakeTable } from '../../batch/lake/manifest.ts';
import { parseRowKey, type RowKey } from '../../batch/lake/row-key.ts';
import type { SqlEngine, SqlRows } from '../../ports/sql-engine.ts';
import { tableWithRowsOf } from './lake-commands.ts';
import { type BatchPlaces, openEngine, openLakeThere } from './open.ts';

export type WantedRows = Readonly<{ table: string; timeMs: number; key?: string | undefined }>;

type Place = Readonly<{
  lake: Lake;
  engine: SqlEngine;
  table: LakeTable;
  timeMs: number;
  key?: RowKey;
}>;

/** The rows of a table as they were at a time, in one version of the lake, whatever is written meanwhile. */
export class TableRows implements AsyncDisposable {
  readonly #place: Place;
  readonly #signal: AbortSignal;

  private constructor(place: Place, signal: AbortSignal) {
    this.#place = place;
    this.#signal = signal;
  }

  /** Throws `lake_missing`, `lake_table_unknown` and `lake_key_invalid`. */
  static async open(
    places: BatchPlaces,
    { table: name, timeMs, key }: WantedRows,
    signal: AbortSignal,
  ): Promise<TableRows> {
    const lake = await openLakeThere(places);
    const table = tableWithRowsOf(await lake.manifest(), name);
    const row = key === undefined ? {} : { key: parseRowKey(table, key) };
    const engine = await openEngine(places);
    return new TableRows({ lake, engine, table, timeMs, ...row }, signal);
  }

  /**
   * With a limit, the first ones in the order of the key. At least one batch, which tells the columns.
   * Throws `lake_horizon`, `lake_key_invalid` and `lake_file_damaged`.
   */
  async *read(limit?: number): AsyncGenerator<SqlRows> {
    const { lake, engine, table, timeMs, key } = this.#place;
    const wanted = {
      timeMs,
      ...(key !== undefined && { key }),
      ...(limit !== undefined && { limit }),
    };
    yield* rowsAsOf(lake, engine, table, wanted, this.#signal);
  }

  /** What is to be known of the rows, beside them. */
  get warning(): string | undefined {
    return copyingWarning(this.#place.table, this.#place.timeMs);
  }

  /** How many there are, without reading what the count does not need. */
  async count(): Promise<number> {
    const { lake, engine, table, timeMs, key } = this.#place;
    const wanted = { timeMs, ...(key !== undefined && { key }) };
    const sql = await stateSql(lake, engine, table, wanted, this.#signal);
    const { rows } = await engine.query(`SELECT count(*) FROM (${sql})`, [], this.#signal);
    return Number(rows[0]?.[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#place.engine[Symbol.asyncDispose]();
  }
}
