import { sqlIdentifier, sqlString } from '../../models/literal.ts';
import { valueSql, type ValueModes } from '../column-type.ts';
import type { LakeColumn } from '../manifest.ts';
import type { EventFile } from './event-file.ts';

/*
 * HOT PATH, of the engine. One pass over the events makes a Parquet file: rows are read as maps of
 * text, by position once the names have been compared, so that a column that nobody told of can't
 * be overlooked, and a value that its column can't hold costs nothing to others. Measured at 8
 * columns: as fast as columns of fixed types, which could do neither.
 */

/** An error's words that say: these rows have other columns than were expected. */
export const OTHER_COLUMNS = 'millrace: other columns';
/** JSON would allow it. */
export const NAME_TWICE = 'not a change event: a column stands twice';
const NO_CHANGE = 'millrace: no change event';

export type ChangeQuery = Readonly<{
  file: EventFile;
  /** Names in the events, in their order. */
  names: readonly string[];
  /** One for each of the names, in the order of the file to write. */
  columns: readonly LakeColumn[];
  modes: ValueModes;
  /** An update is then two rows. */
  isKeyless: boolean;
  /** Only rows with these columns, among others; with `all`, an error tells of others. */
  only: 'all' | 'these' | 'these and none';
}>;

/** A SELECT for the rows of a change file. */
export function changesSql({ file, names, columns, modes, isKeyless, only }: ChangeQuery): string {
  const expected = `[${names.map(sqlString).join(', ')}]`;
  const parts = columns.map((column, index) => {
    const { value, text, isUnavailable } = valueSql(`r${index}`, column, modes);
    const left = isUnavailable === undefined ? undefined : `u${index}`;
    return {
      raw: `v[${names.indexOf(column.source) + 1}] AS r${index}`,
      value: `${value} AS c${index}`,
      ...(left !== undefined && {
        unavailable: `coalesce(${isUnavailable}, false) AS ${left}`,
        left,
      }),
      isUnfit: `(r${index} IS NOT NULL AND c${index} IS NULL${left === undefined ? '' : ` AND NOT ${left}`})`,
      // Plain text always fits.
      fitsAlways: column.type === 'VARCHAR' && !column.sqlType.startsWith('time'),
      entry: `{'key': ${sqlString(column.name)}, 'value': ${text}}`,
      name: column.name,
      as: `c${index} AS ${sqlIdentifier(column.name)}`,
    };
  });
  const unfit = objectSql(
    parts.flatMap(({ fitsAlways, isUnfit, entry }) => (fitsAlways ? [] : [[isUnfit, entry]])),
  );
  const unavailable = listSql(
    parts.flatMap(({ left, name }) => (left === undefined ? [] : [[left, sqlString(name)]])),
  );
  const middle = parts.flatMap(({ value, unavailable: left }) => [value, ...(left ? [left] : [])]);
  const where =
    only === 'all' ? '' : `WHERE k = ${expected}${only === 'these' ? '' : ' OR k IS NULL'}`;
  const checked = `CASE WHEN op IS NULL OR op NOT IN ('c', 'u', 'd', 'r', 't') OR t IS NULL OR s."table" IS NULL OR (k IS NULL AND op <> 't') THEN error('${NO_CHANGE}') WHEN k <> ${expected} THEN error('${OTHER_COLUMNS}') ELSE op END`;
  return `SELECT ${[...parts.map(({ as }) => as), `${checked} AS __op`, POSITION].join(', ')},
    ${unfit} AS __unfit, ${unavailable} AS __unavailable
  FROM (SELECT ${['p, o, op, t, s, k', ...parts.map((_, index) => `r${index}`), ...middle].join(', ')}
    FROM (SELECT ${['p, o, op, t, s, k', ...parts.map(({ raw }) => raw)].join(', ')}
      FROM (${eventsSql(file, isKeyless)}) ${where}))`;
}

const POSITION = `t AS __commit_time, p AS __partition, o AS __offset, s."txId" AS __tx, s.lsn AS __lsn`;

/** Each set of column names in the file's rows, oldest first. */
export function columnSetsSql(file: EventFile): string {
  return `SELECT k FROM (${eventsSql(file, false)}) WHERE k IS NOT NULL GROUP BY k ORDER BY min(o), min(p)`;
}

/** Which kinds of JSON the values of a column are. */
export function jsonTypesSql(file: EventFile, source: string): string {
  const pointer = sqlString(`/${source.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  const columns = `{v: 'STRUCT("before" JSON, after JSON)'}`;
  return `SELECT DISTINCT coalesce(json_type(v.after, ${pointer}), json_type(v."before", ${pointer})) FROM ${linesSql(file, columns)}`;
}

/** Where copies begin and end: rows with partition, offset, mark and time. */
export function copyMarksSql(file: EventFile): string {
  const columns = `{o: 'BIGINT', p: 'INTEGER', v: 'STRUCT(op VARCHAR, source STRUCT(snapshot VARCHAR, ts_ms BIGINT))'}`;
  return `SELECT p, o, v.source.snapshot, v.source.ts_ms FROM ${linesSql(file, columns)} WHERE v.op = 'r' AND v.source.snapshot IN ('first', 'first_in_data_collection', 'last_in_data_collection', 'last') ORDER BY v.source.ts_ms, o`;
}

/** Reads all of each event: it fails when the engine can't. */
export function wholeEventsSql(file: EventFile): string {
  const names = ['v.after', 'v."before"'].map((row) => `map_keys(${row})`);
  const twice = names.map((each) => `len(list_distinct(${each})) <> len(${each})`).join(' OR ');
  return `SELECT max(hash(CASE WHEN ${twice} THEN error('${NAME_TWICE}') ELSE v END)) FROM ${linesSql(file, EVENT)}`;
}

/** A SELECT for the rows of logical messages. */
export function messagesSql(file: EventFile, modes: ValueModes): string {
  const columns = `{o: 'BIGINT', p: 'INTEGER', v: 'STRUCT(op VARCHAR, source STRUCT(${SOURCE}), message STRUCT(prefix VARCHAR, content VARCHAR))'}`;
  const bytes = valueSql('raw', { type: 'BLOB', sqlType: 'bytea' }, modes).value;
  return `SELECT prefix, content,
    CASE WHEN op <> 'm' OR op IS NULL OR prefix IS NULL OR t IS NULL THEN error('${NO_CHANGE}') ELSE op END AS __op, ${POSITION},
    CASE WHEN content IS NULL AND raw IS NOT NULL THEN CAST(json_object('content', raw) AS VARCHAR) END AS __unfit,
    CAST(NULL AS VARCHAR) AS __unavailable
  FROM (SELECT *, TRY(decode(${bytes})) AS content
    FROM (SELECT p, o, v.op AS op, v.source AS s, ${TIME} AS t, v.message.prefix AS prefix, v.message.content AS raw
      FROM ${linesSql(file, columns)}))`;
}

export const MESSAGE_COLUMNS: readonly LakeColumn[] = ['prefix', 'content'].map((name) => ({
  name,
  source: name,
  type: 'VARCHAR',
  sqlType: 'text',
}));

const SOURCE = `ts_us BIGINT, ts_ms BIGINT, "txId" BIGINT, lsn BIGINT, "table" VARCHAR`;
const TIME = 'make_timestamp(coalesce(v.source.ts_us, v.source.ts_ms * 1000))';
const ROW = 'MAP(VARCHAR, VARCHAR)';
const EVENT = `{o: 'BIGINT', p: 'INTEGER', v: 'STRUCT(op VARCHAR, source STRUCT(${SOURCE}), "before" ${ROW}, after ${ROW})'}`;

/** A row of p, o, op, t, s, k (names) and v (values) for each row of a change file. */
function eventsSql(file: EventFile, isKeyless: boolean): string {
  const one = `{'op': v.op, 'row': coalesce(v.after, v."before")}`;
  const two = `[{'op': 'd', 'row': v."before"}, {'op': 'c', 'row': v.after}]`;
  const rows = isKeyless
    ? `unnest(CASE WHEN v.op = 'u' AND v."before" IS NOT NULL AND v.after IS NOT NULL THEN ${two} ELSE [${one}] END)`
    : one;
  return `SELECT p, o, e.op AS op, t, s, map_keys(e."row") AS k, map_values(e."row") AS v
    FROM (SELECT p, o, ${TIME} AS t, v.source AS s, ${rows} AS e FROM ${linesSql(file, EVENT)})`;
}

function linesSql({ path, longestLine }: EventFile, columns: string): string {
  const size = longestLine > DEFAULT_LINE ? `, maximum_object_size = ${longestLine + 1024}` : '';
  return `read_json(${sqlString(path)}, format = 'newline_delimited', columns = ${columns}${size})`;
}

/** A buffer of twice what DuckDB takes as the longest is allocated for each thread. */
const DEFAULT_LINE = 16_000_000;

function objectSql(entries: readonly (readonly [when: string, entry: string])[]): string {
  if (entries.length === 0) return 'CAST(NULL AS VARCHAR)';
  return whenAny(entries, (list) => `CAST(to_json(map_from_entries(${list})) AS VARCHAR)`);
}

function listSql(entries: readonly (readonly [when: string, entry: string])[]): string {
  if (entries.length === 0) return 'CAST(NULL AS VARCHAR)';
  return whenAny(entries, (list) => `CAST(to_json(${list}) AS VARCHAR)`);
}

function whenAny(
  entries: readonly (readonly [when: string, entry: string])[],
  of: (list: string) => string,
): string {
  const list = entries.map(([when, entry]) => `CASE WHEN ${when} THEN ${entry} END`).join(', ');
  const present = `list_filter([${list}], lambda each: each IS NOT NULL)`;
  return `CASE WHEN ${entries.map(([when]) => when).join(' OR ')} THEN ${of(present)} END`;
}
