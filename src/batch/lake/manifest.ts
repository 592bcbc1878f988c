/*
 * What the lake holds, at one instant. A file exists for readers only when the newest manifest
 * names it. Written whole at each change, under the next number; documented for others in
 * docs/reference/lake.md, and versioned by `format`.
 */

/** Of the manifest and of all that it describes; a newer one is refused, never guessed at. */
export const LAKE_FORMAT = 1;

/** By partition number as text: the next offset that is not yet taken into account. */
export type LakeOffsets = Readonly<Record<string, number>>;

export type Manifest = Readonly<{
  format: typeof LAKE_FORMAT;
  /** Grows by one at each commit; the manifest's file is named for it. */
  version: number;
  writtenAtMs: number;
  /** By topic: tables, and the topic of logical messages. */
  tables: Readonly<Record<string, LakeTable>>;
  /** By the model's name: what its last good run made. */
  models: Readonly<Record<string, LakeModel>>;
  /** Files that were named until a while ago, for those who still read by an older manifest. */
  removed: readonly Readonly<{ path: string; atMs: number }>[];
}>;

export type LakeTable = Readonly<{
  topic: string;
  /** In the source, such as `public` and `orders`. */
  schema: string;
  name: string;
  /** Lake names of the key's columns in key order; empty without a key: then rows are told apart by all their values. */
  key: readonly string[];
  /** Every set of columns that the table had; the last is today's. */
  schemas: readonly LakeSchema[];
  /** How far the topic has been written. */
  offsets: LakeOffsets;
  /** By partition: the last record that was read, by which a writer knows whether the log is still the one that it was. */
  lastRead?: Readonly<Record<string, LakeLastRead>>;
  /** Every change, in files, oldest first. */
  changes: readonly ChangeFile[];
  /** The table's rows at some positions, oldest first: what makes reading the present state cheap, and bounds what must be kept. */
  bases: readonly LakeBase[];
  /** Where rows of before are gone: truncates, and copies after which the table is what was copied. */
  resets: readonly LakeReset[];
  /**
   * Set by retention: changes before these offsets are no longer kept, and the oldest base stands
   * here. States before its `maxTimeMs` are past the lake's horizon.
   */
  floor?: LakeOffsets;
  /** A copy that had begun and not ended yet. */
  copying?: LakeCopy;
  /** Not all of its rows are here: a copy is to bring them. Never where the connector does not tell what it has copied. */
  incomplete?: LakeIncomplete;
  /** Changes that the log no longer had when the writer came for them; a copy was asked for, and rows of before reset. */
  gaps?: readonly LakeGap[];
}>;

/** `digest`: of the record's key and value, base64. */
export type LakeLastRead = Readonly<{ offset: number; digest: string }>;

export type LakeCopy = Readonly<{
  /** By partition: where the copied rows begin. */
  offsets: LakeOffsets;
  timeMs: number;
}>;

/** `copy`: the connector copies it; else what a copy was asked for after, `gap` and `key` as of a reset. */
export type LakeIncomplete = Readonly<{
  sinceMs: number;
  cause: 'copy' | 'gap' | 'key' | 'values';
}>;

/** Records from `from` to before `to` are missing; found at `atMs`. */
export type LakeGap = Readonly<{ partition: number; from: number; to: number; atMs: number }>;

export type LakeSchema = Readonly<{
  /** Its index in `schemas`. */
  id: number;
  columns: readonly LakeColumn[];
}>;

export type LakeColumn = Readonly<{
  /** In the lake; differs from `source` only where names would collide but for case, or with columns of the lake's own. */
  name: string;
  /** In change events. */
  source: string;
  /** In words that DuckDB and Spark share: `DECIMAL(10,2)`, `TIMESTAMP`, `VARCHAR`, `INTEGER[]`. */
  type: string;
  /** As PostgreSQL writes it, such as `numeric(10,2)`. */
  sqlType: string;
  /** As text: what rows have that were written before the column was added (a default that PostgreSQL did not write into them). */
  missing?: string;
  /** Unknown where the catalogue was not asked while the table had these columns. */
  number?: ColumnNumber;
}>;

/**
 * What a column keeps under any name: the OID of its table and its `attnum` there, which no other
 * column ever gets. A table that was created anew has another OID.
 */
export type ColumnNumber = Readonly<{ table: number; column: number }>;

/**
 * Changes in the order of their offsets. Columns: those of the schema, and
 *
 * - `__op` VARCHAR: c, u, d, r (copied), t (truncate; all columns null), m (message). A row holds the
 *   state after the change; of a delete, the last one known. In a table without key an update is
 *   two rows of one offset: a d of the old row, then a c of the new.
 * - `__commit_time` TIMESTAMP in UTC, microseconds; `__partition` INTEGER; `__offset` BIGINT;
 *   `__tx` BIGINT (transaction id; null of an incremental copy); `__lsn` BIGINT
 * - `__unfit` VARCHAR: null, or a JSON object of values that their columns can't hold (numeric NaN,
 *   dates before Christ), which are null there
 * - `__unavailable` VARCHAR: null, or a JSON array of columns whose unchanged value the source left out (TOAST)
 */
export type ChangeFile = Readonly<{
  /** Relative to the lake's folder, with `/`. */
  path: string;
  schema: number;
  /** UTC day of the commit times, YYYY-MM-DD. */
  day: string;
  rows: number;
  bytes: number;
  /** By partition: first and last offset in the file. Files of one partition and different days may overlap. */
  offsets: Readonly<Record<string, readonly [first: number, last: number]>>;
  /** Of the commit times in it. */
  minTimeMs: number;
  maxTimeMs: number;
  /** Lake names of the columns that `__unavailable` names in some row of it; most often none. */
  unavailable: readonly string[];
}>;

/**
 * All rows at these offsets. Columns: those of the schema, and `__partition`, `__offset`,
 * `__commit_time`, `__tx`, `__unfit` of each row's last change.
 */
export type LakeBase = Readonly<{
  offsets: LakeOffsets;
  /** No change in it was committed after. */
  maxTimeMs: number;
  schema: number;
  rows: number;
  files: readonly Readonly<{ path: string; rows: number; bytes: number }>[];
}>;

/**
 * Rows of this partition whose last change stands before `offset` are gone, in states that take in
 * the record at `at` or the time `timeMs`.
 */
export type LakeReset = Readonly<{
  partition: number;
  offset: number;
  /** Of the record that told so: the truncate itself, or what ended the copy that began at `offset`. */
  at: number;
  timeMs: number;
  /**
   * `gap`: changes before were lost. `key`: rows of before were told apart by other columns, so that
   * states of before can't be made. After either, a copy brings back what is there.
   */
  cause: 'truncate' | 'copy' | 'gap' | 'key';
}>;

export type LakeModel = Readonly<{
  name: string;
  materialization: string;
  runId: string;
  builtAtMs: number;
  /** Of what its rows depend on beside its inputs; another one means a full refresh. */
  fingerprint: string;
  columns: readonly Readonly<{ name: string; type: string }>[];
  rows: number;
  /** Empty for a view. */
  files: readonly Readonly<{ path: string; bytes: number }>[];
  /** Of a view: its SELECT over `ref` and `source` names as `millrace sql` has them. */
  sql?: string;
  /** By topic: the offsets at which it read each table. */
  inputs: Readonly<Record<string, LakeOffsets>>;
}>;

export const EMPTY_MANIFEST: Manifest = {
  format: LAKE_FORMAT,
  version: 0,
  writtenAtMs: 0,
  tables: {},
  models: {},
  removed: [],
};
