import type { FileRelation } from '../../ports/warehouse.ts';
import type { LakeModel, LakeOffsets, LakeTable } from '../lake/manifest.ts';
import type { TableRelation } from '../lake/table-relation.ts';
import { sqlIdentifier } from '../models/literal.ts';
import type { ModelHeader } from '../models/model.ts';

export type Incremental = NonNullable<ModelHeader['incremental']>;

/** What is to be done for an incremental model. */
export type Refresh =
  /** All of it; `why` is for people. */
  | Readonly<{ kind: 'full'; why: string }>
  /** The rows of the values that these changes concern. */
  | Readonly<{ kind: 'affected'; changes: readonly ChangesSince[] }>
  | Readonly<{ kind: 'unchanged' }>;

/** A table that an incremental model reads. */
export type AffectingSource = Readonly<{
  table: LakeTable;
  /** The table's column whose values tell what is affected. */
  column: string;
}>;

/** Changes of a source that the last result does not take into account. */
export type ChangesSince = AffectingSource & Readonly<{ from: LakeOffsets }>;

/**
 * Decides how an incremental model comes to equal what a full refresh would make. Whenever the lake
 * can't tell what has changed since the last result, that is a full refresh.
 */
export function refreshOf(
  given: Readonly<{
    previous: LakeModel | undefined;
    fingerprint: string;
    sources: readonly AffectingSource[];
  }>,
): Refresh {
  const { previous, fingerprint, sources } = given;
  if (previous === undefined) return full('it has no result yet');
  if (previous.fingerprint !== fingerprint)
    return full('its SQL, its settings, or the columns of what it reads have changed');
  const changes: ChangesSince[] = [];
  for (const { table, column } of sources) {
    const from = previous.inputs[table.topic] ?? {};
    if (sameOffsets(from, table.offsets)) continue;
    const gap = gapIn(table, from);
    if (gap !== undefined) return full(`${table.schema}.${table.name} ${gap}`);
    changes.push({ table, column, from });
  }
  return changes.length === 0 ? { kind: 'unchanged' } : { kind: 'affected', changes };
}

function full(why: string): Refresh {
  return { kind: 'full', why };
}

/** Why the changes since `from` don't tell all; undefined when they do. */
function gapIn(
  { floor, resets, changes, schemas }: LakeTable,
  from: LakeOffsets,
): string | undefined {
  for (const [partition, kept] of Object.entries(floor ?? {}))
    if ((from[partition] ?? 0) < kept) return 'has older changes that are no longer kept';
  const reset = resets.find(({ partition, at }) => at >= (from[partition] ?? 0));
  if (reset !== undefined) return reset.cause === 'truncate' ? 'was truncated' : 'was copied again';
  const today = schemas.at(-1)?.id;
  const isOld = changes.some((file) => file.schema !== today && isSince(file.offsets, from));
  return isOld ? 'had other columns since' : undefined;
}

function sameOffsets(a: LakeOffsets, b: LakeOffsets): boolean {
  return [...Object.keys(a), ...Object.keys(b)].every(
    (partition) => (a[partition] ?? 0) === (b[partition] ?? 0),
  );
}

/** Some offset of the file is at or after `from`. */
function isSince(
  offsets: Readonly<Record<string, readonly [first: number, last: number]>>,
  from: LakeOffsets,
): boolean {
  return Object.entries(offsets).some(([partition, [, last]]) => last >= (from[partition] ?? 0));
}

/** Name of the relation whose column `value` has each affected value once, null apart. */
export function affectedRelation(model: string): string {
  return `affected__${model}`;
}

/**
 * The condition that a row belongs to what is made anew: its value is an affected one. Rows without
 * a value always belong to it, as nothing equals null; so it is true or false, never null.
 */
export function affectedCondition(model: string, incremental: Incremental, column: string): string {
  const value = affectedValue(incremental, column);
  return `(${value} IS NULL OR ${value} IN (SELECT value FROM ${sqlIdentifier(affectedRelation(model))}))`;
}

/** Of a time range, the beginning of the stretch that a time stands in. */
function affectedValue({ grain }: Incremental, column: string): string {
  return grain === undefined ? column : `date_trunc('${grain}', CAST(${column} AS TIMESTAMP))`;
}

/**
 * The SELECT of affected values: those of every change, and those that the changed rows had before.
 * `before` gives the rows of a table as they were at offsets.
 */
export function affectedValues(
  model: string,
  incremental: Incremental,
  changes: readonly ChangesSince[],
  lake: Readonly<{
    path(relative: string): string;
    before(table: LakeTable, offsets: LakeOffsets): TableRelation;
  }>,
): Readonly<{ sql: string; relations: readonly FileRelation[] }> {
  const relations: FileRelation[] = [];
  const selects = changes.flatMap(({ table, column, from }, index) => {
    const changed = changedRows(`_changed__${model}__${index}`, table, from, lake.path);
    relations.push(changed);
    const name = sqlIdentifier(changed.name);
    const isNew = `(${since(table, from)})`;
    const value = (row: string): string =>
      affectedValue(incremental, `${row}.${sqlIdentifier(column)}`);
    const after = `SELECT ${value('changed')} AS value FROM ${name} AS changed WHERE ${isNew}`;
    // Without a key, the old row is a change of its own.
    if (table.key.length === 0) return [after];
    const before = lake.before(table, from);
    relations.push(...before.relations);
    // A key that does not fit its column is null: taking all of those for the same one is safe.
    const keys = table.key.map(sqlIdentifier);
    const sameKey = keys.map((key) => `changed.${key} IS NOT DISTINCT FROM earlier.${key}`);
    // As a join: DuckDB makes far more of an EXISTS with a condition of its own.
    return [
      after,
      `SELECT ${value('earlier')} AS value FROM (\n${before.sql}\n) AS earlier SEMI JOIN (SELECT ${keys.join(', ')} FROM ${name} WHERE ${isNew}) AS changed ON ${sameKey.join(' AND ')}`,
    ];
  });
  const sql = `SELECT DISTINCT value FROM (\n${selects.join('\nUNION ALL\n')}\n) AS touched WHERE value IS NOT NULL`;
  return { sql, relations };
}

function changedRows(
  name: string,
  { schemas, changes }: LakeTable,
  from: LakeOffsets,
  path: (relative: string) => string,
): FileRelation {
  return {
    name,
    files: changes.filter(({ offsets }) => isSince(offsets, from)).map((file) => path(file.path)),
    columns: [
      ...(schemas.at(-1)?.columns ?? []).map((column) => ({
        name: column.name,
        type: column.type,
      })),
      { name: '__partition', type: 'INTEGER' },
      { name: '__offset', type: 'BIGINT' },
    ],
  };
}

function since({ offsets }: LakeTable, from: LakeOffsets): string {
  const ranges = Object.keys(offsets).map(
    (partition) => `(__partition = ${partition} AND __offset >= ${from[partition] ?? 0})`,
  );
  return ranges.join(' OR ');
}

/** Where the model's own SQL begins within `mergedSql`, from 1. */
export const MERGED_SQL_LINE = 2;

/** The previous result without what is affected, and that made anew by `sql`. */
export function mergedSql(
  model: string,
  incremental: Incremental,
  given: Readonly<{ previous: FileRelation; sql: string }>,
): string {
  const columns = given.previous.columns.map(({ name }) => sqlIdentifier(name)).join(', ');
  const key = sqlIdentifier(incremental.column);
  const isAffected = (row: string) => affectedCondition(model, incremental, `${row}.${key}`);
  return [
    `SELECT ${columns} FROM ${sqlIdentifier(given.previous.name)} AS kept WHERE NOT ${isAffected('kept')} UNION ALL SELECT ${columns} FROM (`,
    given.sql,
    `) AS made WHERE ${isAffected('made')}`,
  ].join('\n');
}
