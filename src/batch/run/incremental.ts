import type { FileRelation } from '../../ports/warehouse.ts';
import type { LakeModel, LakeOffsets, LakeTable } from '../lake/manifest.ts';
import type { TableRelation } from '../lake/table-relation.ts';
import { sqlIdentifier } from '../models/literal.ts';
import type { ModelHeader } from '../models/model.ts';
import { type Inputs, sameOffsets } from './inputs.ts';

export type Incremental = NonNullable<ModelHeader['incremental']>;

/** What is to be done for an incremental model. */
export type Refresh =
  /** All of it; `why` is for people. */
  | Readonly<{ kind: 'full'; why: string }>
  /** The rows of the values that these changes concern. */
  | Readonly<{ kind: 'affected'; changes: readonly ChangesSince[] }>
  | Readonly<{ kind: 'unchanged' }>;

/** Changes of a source that the last result has not, or not all of it has, taken into account. */
export type ChangesSince = Readonly<{
  table: LakeTable;
  /** The source's column whose values tell what is affected. */
  column: string;
  from: LakeOffsets;
  to: LakeOffsets;
}>;

/**
 * Decides how an incremental model comes to equal what a full refresh would make. Whenever the lake
 * can't tell what has changed since the last result, that is a full refresh.
 */
export function refreshOf(
  given: Readonly<{
    previous: LakeModel | undefined;
    fingerprint: string;
    inputs: Inputs;
    /** By topic. */
    affectedBy: Readonly<Record<string, string>>;
  }>,
): Refresh {
  const { previous, fingerprint, inputs, affectedBy } = given;
  if (previous === undefined) return full('it has no result yet');
  if (previous.fingerprint !== fingerprint)
    return full('its SQL, its columns, or what it is made of has changed');
  const changes: ChangesSince[] = [];
  for (const [topic, { table, from: least, to }] of Object.entries(inputs)) {
    const from = previous.inputs[topic];
    const name = `${table.schema}.${table.name}`;
    if (from === undefined) return full(`it has not read ${name} before`);
    if (sameOffsets(from, to) && sameOffsets(least, to)) continue;
    const column = affectedBy[topic];
    if (column === undefined)
      return full(`${name} has changed, and affected_by does not say what that concerns`);
    const gap = gapIn(table, from);
    if (gap !== undefined) return full(`${name} ${gap}`);
    changes.push({ table, column, from, to });
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
  const selects = changes.flatMap(({ table, column, from, to }, index) => {
    const changed = changedRows(`_changed__${model}__${index}`, table, from, lake.path);
    relations.push(changed);
    const name = sqlIdentifier(changed.name);
    const isNew = `(${partitionsBetween(from, to)})`;
    const value = (row: string): string =>
      affectedValue(incremental, `${row}.${sqlIdentifier(column)}`);
    const after = `SELECT ${value('changed')} AS value FROM ${name} AS changed WHERE ${isNew}`;
    // Without a key, the old row is a change of its own.
    if (table.key.length === 0) return [after];
    const before = lake.before(table, from);
    relations.push(...before.relations);
    // A key that does not fit its column is null: taking all of those for the same one is safe.
    const sameKey = table.key
      .map(sqlIdentifier)
      .map((key) => `changed.${key} IS NOT DISTINCT FROM earlier.${key}`)
      .join(' AND ');
    return [
      after,
      `SELECT ${value('earlier')} AS value FROM (\n${before.sql}\n) AS earlier WHERE EXISTS (SELECT 1 FROM ${name} AS changed WHERE ${isNew} AND ${sameKey})`,
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

function partitionsBetween(from: LakeOffsets, to: LakeOffsets): string {
  const ranges = Object.entries(to).map(
    ([partition, end]) =>
      `(__partition = ${partition} AND __offset >= ${from[partition] ?? 0} AND __offset < ${end})`,
  );
  return ranges.length === 0 ? 'FALSE' : ranges.join(' OR ');
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
