import type { SqlColumn } from '../../ports/sql-engine.ts';
import { must } from '../../lib/must.ts';
import { sqlIdentifier, sqlString, sqlTimestamp } from '../models/literal.ts';
import type { Lake } from './lake.ts';
import type { ChangeFile, LakeColumn, LakeTable } from './manifest.ts';
import {
  BASE_COLUMNS,
  CHANGE_COLUMNS,
  fileRelation,
  Rows,
  type RowSource,
  type WantedColumn,
} from './row-source.ts';
import { isSameNumber, sameColumn } from './same-column.ts';
import { type Cut, planState, type StatePlan } from './state-plan.ts';
import type { TableRelation, UpTo } from './table-relation.ts';

/*
 * What makes it fast is that whole rows only stream through, and only those columns that are asked
 * for: base and changes are probed against hash tables of keys and of offsets. No window and no
 * aggregate holds a row of a table that has a key. SEMI and ANTI JOIN are plain joins in both engines;
 * EXISTS costs DuckDB a third more, and a CTE keeps it from leaving out columns.
 */

/**
 * The rows of a table: as of a time with the columns it had then, else with today's. Values that
 * their column can't hold (`__unfit`) are null. Throws `lake_horizon` when asked for what was before
 * the changes that are kept.
 */
export function stateOf(lake: Pick<Lake, 'path'>, table: LakeTable, upTo?: UpTo): TableRelation {
  const columns = upTo !== undefined && 'timeMs' in upTo ? 'then' : 'today';
  return relationOf(lake, table, planState(table, upTo, columns), []);
}

/** What a base at some offsets holds: the rows in the columns of then, and of each what its last change told. */
export function baseOf(lake: Pick<Lake, 'path'>, table: LakeTable, upTo: UpTo): TableRelation {
  return relationOf(lake, table, planState(table, upTo, 'then'), BASE_COLUMNS);
}

/** All changes that are kept: today's columns, then those that were dropped, then the lake's own. */
export function changesOf(lake: Pick<Lake, 'path'>, table: LakeTable): TableRelation {
  const wanted = columnsEver(table);
  const sources = changeSources(lake, table, table.changes);
  const rows = new Rows(
    table.schemas,
    wanted,
    typed(
      table,
      'changes',
      [...wanted.map(({ column }) => plain(column)), ...CHANGE_COLUMNS],
      sources,
    ),
  );
  const columns = [...wanted.map(({ column }) => plain(column)), ...CHANGE_COLUMNS];
  return {
    relations: rows.relations,
    sql: rows.select(columns.map(({ name }) => name)),
    columns,
  };
}

function relationOf(
  lake: Pick<Lake, 'path'>,
  table: LakeTable,
  plan: StatePlan,
  beside: readonly SqlColumn[],
): TableRelation {
  const { whole, partly, cut, schema } = plan;
  const own = schema.columns.map(plain);
  const ofChanges = [
    ...changeSources(lake, table, whole),
    ...changeSources(lake, table, partly, insideOf(cut, table)),
  ];
  const ofBase = isGone(plan) ? [] : baseSources(lake, table, plan);
  const wanted = schema.columns.map((column) => ({ column, schema: schema.id }));
  const changes = new Rows(
    table.schemas,
    wanted,
    ofChanges.length === 0 ? [] : typed(table, 'changes', [...own, ...CHANGE_COLUMNS], ofChanges),
  );
  const base = new Rows(
    table.schemas,
    wanted,
    ofBase.length === 0 && ofChanges.length > 0
      ? []
      : typed(table, 'base', [...own, ...BASE_COLUMNS], ofBase),
  );
  const columns = [...own, ...beside];
  const parts = {
    names: columns.map(({ name }) => name),
    key: table.key,
    changes,
    base,
    isOnePartition: Object.keys(table.offsets).length < 2,
    afterResets: afterResets(plan),
    unavailable: leftOutColumns(table, plan),
  };
  return {
    relations: [...changes.relations, ...base.relations],
    sql: table.key.length > 0 ? keyedState(parts) : keylessState(parts),
    columns,
  };
}

type Parts = Readonly<{
  /** Of the columns that are wanted. */
  names: readonly string[];
  key: readonly string[];
  changes: Rows;
  base: Rows;
  isOnePartition: boolean;
  /** A condition on changes and on rows of the base; undefined: there was no reset. */
  afterResets: string | undefined;
  /** Columns whose values some change left out. */
  unavailable: readonly string[];
}>;

function keyedState(parts: Parts): string {
  const { names, key, changes, base, afterResets } = parts;
  if (changes.isEmpty) return base.select(names, afterResets);
  const place = placeOf(parts);
  const isRow = allOf("__op <> 't'", afterResets);
  const [ctes, values, joins] = leftOutValues(parts);
  const changed = `SELECT ${values.join(', ')}
FROM (${changes.select([...names, ...key, ...place, '__unavailable'], "__op <> 'd'")}) c
SEMI JOIN (${lastOf(parts)}) l ON ${same('l', 'c', place)}${joins}`;
  const unchanged = (): string => `SELECT ${list(names, 'b')}
FROM (${base.select([...names, ...key], afterResets)}) b
ANTI JOIN (${changes.select(key, isRow)}) k ON ${same('k', 'b', key, 'IS NOT DISTINCT FROM')}
CROSS JOIN ${ONE_OF_MANY}`;
  const state = base.isEmpty ? changed : `${changed}\nUNION ALL\n${unchanged()}`;
  return ctes.length === 0 ? state : `WITH ${ctes.join(',\n')}\n${state}`;
}

/**
 * One row. DuckDB takes a join with it for five times as many rows, and an anti join for a fifth of
 * them; without it, joins with a large table's state are built on the wrong side.
 */
const ONE_OF_MANY = `(SELECT 1 FROM (VALUES ${Array.from({ length: 25 }, (_, n) => `(${n})`).join(', ')}) v(n) WHERE n = 0) one`;

/** Where the last change of each key stands. */
function lastOf(parts: Parts): string {
  const { key, changes, afterResets, isOnePartition } = parts;
  const groups = [...key, ...(isOnePartition ? [] : ['__partition'])];
  const isRow = allOf("__op <> 't'", afterResets);
  return `SELECT ${list(groups)}, MAX(__offset) AS __offset FROM (${changes.select([...key, ...placeOf(parts)], isRow)}) c GROUP BY ${list(groups)}`;
}

/** What tells a change from all others. */
function placeOf({ isOnePartition }: Parts): readonly string[] {
  return isOnePartition ? ['__offset'] : ['__offset', '__partition'];
}

/**
 * PostgreSQL leaves out large values that an update did not touch: they are those of the last change
 * that had them, or of the base. Such a value was never null, so max_by may pass over nulls. Changes
 * from before the row was created are of another one that had its key: a row whose key changed is
 * created with values left out, too.
 */
function leftOutValues(
  parts: Parts,
): [ctes: readonly string[], values: readonly string[], joins: string] {
  const { names, key, changes, base, unavailable } = parts;
  const values = names.map((name) =>
    unavailable.includes(name)
      ? `CASE WHEN ${isLeftOut('c', name)} THEN ${column('f', name)} ELSE ${column('c', name)} END AS ${sqlIdentifier(name)}`
      : column('c', name),
  );
  if (unavailable.length === 0) return [[], values, ''];
  const place = placeOf(parts);
  const needed = `SELECT ${list(key, 'c')}
FROM (${changes.select([...key, ...place], '__unavailable IS NOT NULL')}) c
SEMI JOIN (${lastOf(parts)}) l ON ${same('l', 'c', place)}`;
  const born = `SELECT ${list(key, 'c')}, MAX(c.__offset) AS __born
FROM (${changes.select([...key, '__offset'], "__op = 'c'")}) c
SEMI JOIN __needed n ON ${same('n', 'c', key, 'IS NOT DISTINCT FROM')}
GROUP BY ${list(key, 'c')}`;
  const held = [...key, ...unavailable, '__offset'];
  const holders = [
    `SELECT ${list([...held, '__unavailable'])} FROM (${changes.select([...held, '__unavailable'], "__op NOT IN ('d', 't')")}) c`,
    ...(base.isEmpty
      ? []
      : [
          `SELECT ${list(held)}, CAST(NULL AS STRING) AS __unavailable FROM (${base.select(held)}) b`,
        ]),
  ];
  const newest = unavailable.map(
    (name) =>
      `max_by(${column('h', name)}, h.__offset) FILTER (WHERE h.__unavailable IS NULL OR NOT ${isLeftOut('h', name)}) AS ${sqlIdentifier(name)}`,
  );
  const filled = `SELECT ${[list(key, 'h'), ...newest].join(', ')}
FROM (${holders.join('\nUNION ALL\n')}) h
SEMI JOIN __needed n ON ${same('n', 'h', key, 'IS NOT DISTINCT FROM')}
LEFT JOIN __born w ON ${same('w', 'h', key, 'IS NOT DISTINCT FROM')}
WHERE w.__born IS NULL OR h.__offset >= w.__born
GROUP BY ${list(key, 'h')}`;
  return [
    [`__needed AS (\n${needed}\n)`, `__born AS (\n${born}\n)`, `__filled AS (\n${filled}\n)`],
    values,
    `\nLEFT JOIN __filled f ON ${same('f', 'c', key, 'IS NOT DISTINCT FROM')}`,
  ];
}

/**
 * Rows without a key are told apart by their values alone. Each delete takes away one row of those
 * that are equal, whichever; only rows that equal a deleted one are numbered.
 */
function keylessState({ names, changes, base, afterResets }: Parts): string {
  if (changes.isEmpty) return base.select(names, afterResets);
  const identity = [...new Set([...names, '__unfit'])].filter(
    (name) => name === '__unfit' || !BASE_COLUMNS.some((own) => own.name === name),
  );
  const beside = [...new Set([...names, ...identity, '__partition', '__offset'])];
  const added = [
    changes.select(beside, allOf("__op IN ('c', 'r', 'u')", afterResets)),
    ...(base.isEmpty ? [] : [base.select(beside, afterResets)]),
  ].join('\nUNION ALL\n');
  const isDeleted = same('g', 'a', identity, 'IS NOT DISTINCT FROM');
  return `WITH __gone AS (
SELECT ${list(identity)}, CAST(COUNT(*) AS BIGINT) AS __gone
FROM (${changes.select(identity, allOf("__op = 'd'", afterResets))}) d
GROUP BY ${list(identity)}
)
SELECT ${list(names, 'a')}
FROM (${added}) a
ANTI JOIN __gone g ON ${isDeleted}
UNION ALL
SELECT ${list(names, 'n')}
FROM (
SELECT ${list(names, 'a')}, g.__gone, ROW_NUMBER() OVER (PARTITION BY ${list(identity, 'a')} ORDER BY a.__partition, a.__offset) AS __number
FROM (${added}) a JOIN __gone g ON ${isDeleted}
) n
WHERE n.__number > n.__gone`;
}

/** A source for each set of columns. */
function changeSources(
  lake: Pick<Lake, 'path'>,
  table: LakeTable,
  files: readonly ChangeFile[],
  where?: string,
): RowSource[] {
  return table.schemas.flatMap((schema) => {
    const paths = files.flatMap((file) => (file.schema === schema.id ? lake.path(file.path) : []));
    if (paths.length === 0) return [];
    const columns = [...schema.columns.map(plain), ...CHANGE_COLUMNS];
    const relation = fileRelation(table, 'changes', paths, columns);
    return { relation, schema, ...(where !== undefined && { where }) };
  });
}

function baseSources(lake: Pick<Lake, 'path'>, table: LakeTable, { base }: StatePlan): RowSource[] {
  if (base === undefined || base.files.length === 0) return [];
  const schema = must(table.schemas[base.schema], 'a base has a schema of its table');
  const columns = [...schema.columns.map(plain), ...BASE_COLUMNS];
  const paths = base.files.map(({ path }) => lake.path(path));
  return [{ relation: fileRelation(table, 'base', paths, columns), schema }];
}

/** A UNION takes its types from a source that has them all, if need be one without rows. */
function typed(
  table: LakeTable,
  kind: 'base' | 'changes',
  columns: readonly SqlColumn[],
  sources: readonly RowSource[],
): readonly RowSource[] {
  const isSame = ({ relation }: RowSource): boolean =>
    columns.every(
      ({ name, type }, index) =>
        relation.columns[index]?.name === name && relation.columns[index].type === type,
    );
  if (sources.length > 0 && sources.every(isSame)) return sources;
  return [{ relation: fileRelation(table, kind, [], columns) }, ...sources];
}

/** Today's, then those of before as they last were. */
function columnsEver({ schemas }: LakeTable): WantedColumn[] {
  const columns = new Map<string, WantedColumn>();
  const isRenamed = (column: LakeColumn): boolean =>
    [...columns.values()].some((each) => isSameNumber(each.column, column));
  for (const { id, columns: own } of schemas.toReversed())
    for (const column of own)
      if (!columns.has(column.name) && !isRenamed(column))
        columns.set(column.name, { column, schema: id });
  return [...columns.values()];
}

/** Those that changes of whatever schema leave out, by the names that are wanted. */
function leftOutColumns({ schemas }: LakeTable, { schema, unavailable }: StatePlan): string[] {
  return schema.columns
    .filter((wanted) =>
      schemas.some(({ columns }) => unavailable.has(sameColumn(columns, wanted)?.name ?? '')),
    )
    .map(({ name }) => name);
}

function plain({ name, type }: LakeColumn): SqlColumn {
  return { name, type };
}

/** Whether a reset leaves nothing of the base, not even a value that a later change left out. */
function isGone({ base, resets, unavailable }: StatePlan): boolean {
  return (
    base !== undefined &&
    unavailable.size === 0 &&
    Object.entries(base.offsets).every(
      ([partition, offset]) => (resets.get(Number(partition)) ?? -1) >= offset,
    )
  );
}

function afterResets({ resets }: StatePlan): string | undefined {
  if (resets.size === 0) return undefined;
  return [...resets]
    .map(([partition, offset]) => `(__partition <> ${partition} OR __offset >= ${offset})`)
    .join(' AND ');
}

function insideOf({ from, to, timeMs }: Cut, table: LakeTable): string {
  const ranges = Object.keys(table.offsets).flatMap((partition) => {
    if (to !== undefined && to[partition] === undefined) return [];
    const first = from[partition] ?? 0;
    return allOf(
      `__partition = ${Number(partition)}`,
      first > 0 ? `__offset >= ${first}` : undefined,
      to === undefined ? undefined : `__offset < ${to[partition]}`,
    );
  });
  return allOf(
    ranges.length === 0 ? 'FALSE' : `(${ranges.map((range) => `(${range})`).join(' OR ')})`,
    timeMs === undefined ? undefined : `__commit_time <= ${sqlTimestamp(timeMs)}`,
  );
}

function isLeftOut(alias: string, column: string): string {
  return `contains(${alias}.__unavailable, ${sqlString(JSON.stringify(column))})`;
}

function allOf(...conditions: readonly (string | undefined)[]): string {
  return conditions.filter((each) => each !== undefined).join(' AND ');
}

function list(names: readonly string[], alias?: string): string {
  const prefix = alias === undefined ? '' : `${alias}.`;
  return names.map((name) => `${prefix}${sqlIdentifier(name)}`).join(', ');
}

function column(alias: string, name: string): string {
  return `${alias}.${sqlIdentifier(name)}`;
}

function same(a: string, b: string, names: readonly string[], operator = '='): string {
  return names.map((name) => `${column(a, name)} ${operator} ${column(b, name)}`).join(' AND ');
}
