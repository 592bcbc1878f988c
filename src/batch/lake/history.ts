import { type Audit, auditOf } from '../../domain/audit.ts';
import { must } from '../../lib/must.ts';
import type { SqlEngine, SqlRows, SqlValue } from '../../ports/sql-engine.ts';
import { sqlIdentifier } from '../models/literal.ts';
import { inlineFiles } from './inline-files.ts';
import type { Lake } from './lake.ts';
import type { LakeTable } from './manifest.ts';
import { fitsSql, invalid, isRow, type RowKey } from './row-key.ts';
import { type RowChange, RowLife, type RowEvent } from './row-life.ts';
import { CHANGE_COLUMNS } from './row-source.ts';
import { baseOf, changesOf, stateOf } from './state.ts';
import type { TableRelation } from './table-relation.ts';

/** Before it, transaction ids have not begun anew. */
const SAME_TRANSACTION = "INTERVAL '1' MINUTE";

/**
 * Every change of a row that the lake holds, oldest first: what it became, when, in which
 * transaction and by whom. In a table without a key, of all rows that have had the values.
 *
 * `messages` is the table of logical messages, which tell who it was; without it nobody is known.
 * Throws `lake_key_invalid`.
 */
export async function* historyOf(
  lake: Pick<Lake, 'path'>,
  engine: SqlEngine,
  table: LakeTable,
  key: RowKey,
  { messages, signal }: Readonly<{ messages: LakeTable | undefined; signal: AbortSignal }>,
): AsyncGenerator<RowEvent> {
  await check(engine, table, key, signal);
  const changes = changesOf(lake, table);
  const names = changes.columns
    .map(({ name }) => name)
    .filter((name) => !CHANGE_COLUMNS.some((own) => own.name === name));
  const life = new RowLife(table, names);
  if (table.floor !== undefined)
    yield* life.begin(await rowsAtFloor(lake, engine, table, key, signal));
  const sql = changesSql(lake, table, key, changes, messages);
  for await (const { columns, rows } of engine.read(sql, signal)) {
    const at = new Map(columns.map(({ name }, index) => [name, index]));
    const valueOf = (row: readonly SqlValue[], name: string): SqlValue =>
      row[must(at.get(name), 'a column of the query')] ?? null;
    for (const row of rows) {
      const values = names.map((name) => [name, valueOf(row, name)] as const);
      yield* life.take({
        op: textOf(valueOf(row, '__op')),
        at: isoTime(valueOf(row, '__time')),
        partition: Number(valueOf(row, '__partition')),
        offset: Number(valueOf(row, '__offset')),
        transaction: numberOf(valueOf(row, '__tx')),
        lsn: valueOf(row, '__lsn') as number | string | null,
        values: Object.fromEntries([...values, ...unfit(valueOf(row, '__unfit'))]),
        unavailable: parsed<readonly string[]>(valueOf(row, '__unavailable')) ?? [],
        said: said(valueOf(row, '__said')),
      });
    }
  }
  yield* life.end();
}

/**
 * A SELECT for the rows of a table, as of a time or now; with a key, those that it tells; with a limit
 * the first ones in the order of the key. Throws `lake_horizon` and `lake_key_invalid`.
 */
export async function stateSql(
  lake: Pick<Lake, 'path'>,
  engine: SqlEngine,
  table: LakeTable,
  wanted: Readonly<{ timeMs?: number | undefined; key?: RowKey | undefined; limit?: number }>,
  signal: AbortSignal,
): Promise<string> {
  const { timeMs } = wanted;
  const state = stateOf(lake, table, timeMs === undefined ? undefined : { timeMs });
  return rowsSql(engine, table, state, wanted, signal);
}

/**
 * The rows of a table as of a time, as `stateSql` gives them, some thousand at a time; and in them, as
 * PostgreSQL writes them, the values that their columns can't hold.
 */
export async function* rowsAsOf(
  lake: Pick<Lake, 'path'>,
  engine: SqlEngine,
  table: LakeTable,
  wanted: Readonly<{ timeMs: number; key?: RowKey | undefined; limit?: number }>,
  signal: AbortSignal,
): AsyncGenerator<SqlRows> {
  const { timeMs } = wanted;
  const own = stateOf(lake, table, { timeMs }).columns.length;
  const sql = await rowsSql(engine, table, baseOf(lake, table, { timeMs }), wanted, signal);
  for await (const { columns, rows } of engine.read(sql, signal)) {
    const at = new Map(columns.map(({ name }, index) => [name, index]));
    const unfitAt = must(at.get('__unfit'), 'a base has it');
    const whole = rows.map((row) => {
      const values = row.slice(0, own);
      for (const [name, value] of unfit(row[unfitAt] ?? null)) values[at.get(name) ?? own] = value;
      return values.slice(0, own);
    });
    yield { columns: columns.slice(0, own), rows: whole };
  }
}

async function rowsSql(
  engine: SqlEngine,
  table: LakeTable,
  state: TableRelation,
  { key, limit }: Readonly<{ key?: RowKey | undefined; limit?: number }>,
  signal: AbortSignal,
): Promise<string> {
  if (key !== undefined) await check(engine, table, key, signal);
  const order = table.key.length > 0 ? `ORDER BY ${table.key.map(sqlIdentifier).join(', ')} ` : '';
  return [
    inlineFiles(state),
    ...(key === undefined ? [] : [`WHERE ${isRow(table, key)}`]),
    ...(limit === undefined ? [] : [`${order}LIMIT ${limit}`]),
  ].join('\n');
}

async function check(
  engine: SqlEngine,
  table: LakeTable,
  key: RowKey,
  signal: AbortSignal,
): Promise<void> {
  const { rows } = await engine.query(fitsSql(table, key), [], signal);
  if (rows[0]?.[0] !== true) throw invalid(table, Object.values(key).join(','));
}

/** What retention has left of what came before. */
async function rowsAtFloor(
  lake: Pick<Lake, 'path'>,
  engine: SqlEngine,
  table: LakeTable,
  key: RowKey,
  signal: AbortSignal,
): Promise<readonly RowChange[]> {
  const floor = must(table.floor, 'asked only where there is one');
  const base = baseOf(lake, { ...table, offsets: floor }, { offsets: floor });
  const known = new Set(base.columns.map(({ name }) => name));
  if (Object.keys(key).some((name) => !known.has(name))) return [];
  const { columns, rows } = await engine.query(
    `SELECT *, CAST(__commit_time AS VARCHAR) AS __time FROM (${inlineFiles(base)}) WHERE ${isRow(table, key)}`,
    [],
    signal,
  );
  return rows.map((row) => {
    const all = Object.fromEntries(columns.map(({ name }, index) => [name, row[index] ?? null]));
    const own = Object.entries(all).filter(([name]) => !name.startsWith('__'));
    return {
      op: 'r',
      at: isoTime(all['__time'] ?? null),
      partition: Number(all['__partition']),
      offset: Number(all['__offset']),
      transaction: numberOf(all['__tx'] ?? null),
      lsn: null,
      values: Object.fromEntries([...own, ...unfit(all['__unfit'] ?? null)]),
      unavailable: [],
      said: undefined,
    };
  });
}

/**
 * Filters stand alone in each part of the UNION, so that files and row groups without the key are
 * passed over. Before the floor, changes of files that are still there no longer count.
 */
function changesSql(
  lake: Pick<Lake, 'path'>,
  table: LakeTable,
  key: RowKey,
  changes: TableRelation,
  messages: LakeTable | undefined,
): string {
  const from = `(${inlineFiles(changes)})`;
  const isKept = Object.entries(table.floor ?? {})
    .map(([partition, offset]) => `(__partition <> ${Number(partition)} OR __offset >= ${offset})`)
    .join(' AND ');
  const kept = isKept === '' ? '' : ` AND ${isKept}`;
  const found = `SELECT * FROM ${from} WHERE ${isRow(table, key)}${kept}`;
  // Of an update without a key, both rows, whichever has the values.
  const own =
    table.key.length > 0
      ? found
      : `SELECT c.* FROM ${from} c SEMI JOIN (${found}) f ON f.__partition = c.__partition AND f.__offset = c.__offset`;
  const isTruncated = table.resets.some(({ cause }) => cause === 'truncate');
  const truncates = `SELECT * FROM ${from} WHERE __op = 't'${kept}`;
  const all = isTruncated ? `${own} UNION ALL ${truncates}` : own;
  const select = `o.*, CAST(o.__commit_time AS VARCHAR) AS __time`;
  // In a table without a key, an update is a d and then a c.
  const order = `ORDER BY o.__partition, o.__offset, o.__op DESC`;
  if (messages === undefined) return `SELECT ${select}, NULL AS __said FROM (${all}) o ${order}`;
  const tellings = `SELECT m.__tx, m.__commit_time, list(m.content ORDER BY m.__offset) AS __said
FROM (SELECT * FROM (${inlineFiles(changesOf(lake, messages))}) WHERE prefix = 'audit') m
SEMI JOIN own ON own.__tx = m.__tx
GROUP BY m.__tx, m.__commit_time`;
  return `WITH own AS MATERIALIZED (${all}), said AS (${tellings})
SELECT ${select}, s.__said FROM own o LEFT JOIN said s
ON s.__tx = o.__tx AND s.__commit_time BETWEEN o.__commit_time - ${SAME_TRANSACTION} AND o.__commit_time + ${SAME_TRANSACTION}
${order}`;
}

/** All that a transaction's messages tell, the last word counting. */
function said(contents: SqlValue): Partial<Audit> | undefined {
  if (!Array.isArray(contents)) return undefined;
  return Object.assign({}, ...contents.map((each: SqlValue) => auditOf(Buffer.from(textOf(each)))));
}

function unfit(value: SqlValue): [string, SqlValue][] {
  return Object.entries(parsed<Record<string, SqlValue>>(value) ?? {});
}

function parsed<T>(value: SqlValue): T | undefined {
  return typeof value === 'string' ? (JSON.parse(value) as T) : undefined;
}

function numberOf(value: SqlValue): number | null {
  return value === null ? null : Number(value);
}

function isoTime(value: SqlValue): string {
  return `${textOf(value).replace(' ', 'T')}Z`;
}

function textOf(value: SqlValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
