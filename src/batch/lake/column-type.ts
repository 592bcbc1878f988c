import { MillraceError } from '../../domain/errors.ts';
import { sqlString } from '../models/literal.ts';

/*
 * From PostgreSQL's types to the lake's, and the SQL (DuckDB's) that makes a lake value of what a
 * change event has for it. Values come as text, whatever they are in JSON: `raw` below is an
 * SQL expression of type VARCHAR, null where the event has null.
 *
 * A value fits when nothing of it is lost. What does not is NULL here, and its text, as PostgreSQL
 * writes it, goes to `__unfit`.
 */

/** How the connector writes values. */
export type ValueModes = Readonly<{
  times: 'isostring' | 'adaptive' | 'adaptive_time_microseconds' | 'connect' | 'microseconds';
  binary: 'base64' | 'base64-url-safe' | 'hex';
  /** Stands for a long value that an update left alone. */
  placeholder: string;
}>;

export const SHOP_MODES: ValueModes = {
  times: 'isostring',
  binary: 'base64',
  placeholder: '__debezium_unavailable_value',
};

const TIMES = [
  'isostring',
  'adaptive',
  'adaptive_time_microseconds',
  'connect',
  'microseconds',
] as const;

/** Of a connector's options by name. Throws `config_invalid` that names each one in whose mode the lake can't read values. */
export function valueModesOf(
  options: Readonly<Record<string, string | undefined>>,
  isNative: boolean,
): ValueModes {
  const placeholder = options['unavailable.value.placeholder'] ?? SHOP_MODES.placeholder;
  // The native connector has one mode of each, whatever stands in the file.
  if (isNative) return { ...SHOP_MODES, placeholder };
  const problems: string[] = [];
  const refuse = (option: string, found: string, set: string): void => {
    problems.push(`${option}: the lake can't read values written in mode ${found}; set ${set}`);
  };
  const decimals = options['decimal.handling.mode'] ?? 'precise';
  if (decimals !== 'string' && decimals !== 'double')
    refuse('decimal.handling.mode', decimals, 'string');
  const found = options['time.precision.mode'] ?? 'adaptive';
  const times = TIMES.find((each) => each === found);
  if (times === undefined) refuse('time.precision.mode', found, 'isostring');
  if (problems.length > 0) throw new MillraceError('config_invalid', { problems });
  const binary = options['binary.handling.mode'] ?? 'bytes';
  return {
    times: times ?? SHOP_MODES.times,
    binary: binary === 'hex' || binary === 'base64-url-safe' ? binary : 'base64',
    placeholder,
  };
}

/** The lake's type for one of PostgreSQL's, as its format_type writes it. */
export function lakeTypeOf(sqlType: string): string {
  const element = /^(.*?)(?:\[\])+$/.exec(sqlType)?.[1];
  if (element !== undefined) return `${lakeTypeOf(element)}[]`;
  const decimal = /^numeric\((\d+),(-?\d+)\)$/.exec(sqlType);
  if (decimal !== null) {
    const [precision, scale] = [Number(decimal[1]), Number(decimal[2])];
    return precision <= 38 && scale >= 0 && scale <= precision
      ? `DECIMAL(${precision},${scale})`
      : 'VARCHAR';
  }
  return PLAIN[sqlType.replace(/\(\d+\)/, '')] ?? 'VARCHAR';
}

const PLAIN: Readonly<Record<string, string>> = {
  boolean: 'BOOLEAN',
  smallint: 'SMALLINT',
  integer: 'INTEGER',
  bigint: 'BIGINT',
  oid: 'BIGINT',
  real: 'FLOAT',
  'double precision': 'DOUBLE',
  date: 'DATE',
  'timestamp without time zone': 'TIMESTAMP',
  'timestamp with time zone': 'TIMESTAMPTZ',
  bytea: 'BLOB',
};

/** SQL for what becomes of an event's value. */
export type ValueSql = Readonly<{
  /** Of the column's type; NULL where the value is null or does not fit. */
  value: string;
  /** The value as PostgreSQL writes it, for those that do not fit. */
  text: string;
  /** True where the source left an unchanged long value out; undefined of types that are never long. */
  isUnavailable?: string;
}>;

/** `type`: the lake's. */
export function valueSql(
  raw: string,
  { type, sqlType }: Readonly<{ type: string; sqlType: string }>,
  modes: ValueModes,
): ValueSql {
  if (type.endsWith('[]')) return arraySql(raw, type, sqlType, modes);
  if (type.startsWith('DECIMAL'))
    return {
      value: decimalSql(raw, type),
      text: numericText(raw),
      isUnavailable: oneOf(raw, [modes.placeholder]),
    };
  switch (type) {
    case 'SMALLINT':
    case 'INTEGER':
    case 'BIGINT':
      return { value: exactly(raw, type), text: raw };
    case 'BOOLEAN':
      return {
        value: `CASE ${raw} WHEN 'true' THEN true WHEN 'false' THEN false END`,
        text: raw,
      };
    case 'FLOAT':
      return { value: realSql(raw), text: raw };
    case 'DOUBLE':
      return { value: `TRY_CAST(${raw} AS DOUBLE)`, text: raw };
    case 'DATE':
      return { value: dateSql(raw, modes), text: timeText(raw, type) };
    case 'TIMESTAMP':
    case 'TIMESTAMPTZ':
      return { value: timestampSql(raw, type, sqlType, modes), text: timeText(raw, type) };
    case 'BLOB':
      return bytesSql(raw, modes);
    default:
      return textSql(raw, sqlType, modes);
  }
}

/** No other text may become the same number: a column's type may have changed unseen. */
function exactly(raw: string, type: string): string {
  const cast = `TRY_CAST(${raw} AS ${type})`;
  return `CASE WHEN CAST(${cast} AS VARCHAR) = ${raw} THEN ${cast} END`;
}

/** DuckDB would round a value of more digits; a double has one after the point at least. */
function decimalSql(raw: string, type: string): string {
  const scale = Number(/,(\d+)\)$/.exec(type)?.[1]);
  const fits = [
    `instr(${raw}, '.') = 0`,
    `length(${raw}) - instr(${raw}, '.') <= ${scale}`,
    scale === 0 ? `ends_with(${raw}, '.0')` : `contains(${raw}, 'e')`,
  ];
  return `CASE WHEN ${fits.join(' OR ')} THEN TRY_CAST(${raw} AS ${type}) END`;
}

/** No real takes more than nine digits; a double of more does not fit. */
function realSql(raw: string): string {
  const digits = `trim(translate(split_part(${raw}, 'e', 1), '-.', ''), '0')`;
  return `CASE WHEN length(${digits}) <= 9 THEN TRY_CAST(${raw} AS FLOAT) END`;
}

/** The connectors' words, with a decimal.handling.mode of `string`. */
function numericText(raw: string): string {
  return `CASE ${raw} WHEN 'NAN' THEN 'NaN' WHEN 'POSITIVE_INFINITY' THEN 'Infinity' WHEN 'NEGATIVE_INFINITY' THEN '-Infinity' ELSE ${raw} END`;
}

/** What both connectors write for what is no date, in ISO's words. */
const INFINITE = {
  DATE: ['+292278994-08-17Z', '-292275055-05-16Z'],
  TIMESTAMP: ['+294247-01-10T04:00:25.2Z', '-290308-12-21T19:59:27.6Z'],
  TIMESTAMPTZ: ['infinity', '-infinity'],
} as const;

/** In ISO 8601 a year past 9999 has a plus; before ours, years are from 0000 on downwards. */
function isoSql(raw: string, type: keyof typeof INFINITE, wellFormed: string): string {
  const [latest, earliest] = INFINITE[type];
  return `CASE WHEN ${raw} >= '0001' AND ${wellFormed} THEN TRY_CAST(${raw} AS ${type}) WHEN ${raw} IN ('${latest}', 'infinity') THEN CAST('infinity' AS ${type}) WHEN ${raw} IN ('${earliest}', '-infinity') THEN CAST('-infinity' AS ${type}) WHEN ${raw}[1] = '+' THEN TRY_CAST(substr(${raw}, 2) AS ${type}) END`;
}

function dateSql(raw: string, { times }: ValueModes): string {
  if (times === 'isostring') return isoSql(raw, 'DATE', `length(${raw}) = 11`);
  return fromNumber(raw, `DATE '1970-01-01' + TRY_CAST(${raw} AS INTEGER)`);
}

function timestampSql(
  raw: string,
  type: 'TIMESTAMP' | 'TIMESTAMPTZ',
  sqlType: string,
  { times }: ValueModes,
): string {
  if (type === 'TIMESTAMPTZ' || times === 'isostring') return isoSql(raw, type, `${raw}[-1] = 'Z'`);
  const perUnit = microsPerUnit(sqlType, times);
  return `CASE WHEN TRY_CAST(${raw} AS BIGINT) IN (9223372036825200, 9223372036825200000) THEN TIMESTAMP 'infinity' WHEN TRY_CAST(${raw} AS BIGINT) IN (-9223372036832400, -9223372036832400000) THEN TIMESTAMP '-infinity' ELSE ${fromNumber(raw, `make_timestamp(TRY_CAST(${raw} AS BIGINT) * ${perUnit})`)} END`;
}

/** Before Christ does not fit, as in text. */
function fromNumber(raw: string, made: string): string {
  return `CASE WHEN TRY(${made}) >= DATE '0001-01-01' THEN TRY(${made}) END`;
}

/** `adaptive` counts milliseconds where they are precise enough; `connect` always. */
function microsPerUnit(sqlType: string, times: ValueModes['times']): 1 | 1000 {
  if (times === 'connect') return 1000;
  if (times !== 'adaptive' && times !== 'adaptive_time_microseconds') return 1;
  const precision = /\((\d)\)/.exec(sqlType)?.[1];
  return precision !== undefined && Number(precision) <= 3 ? 1000 : 1;
}

/** `-4712-12-31T23:59:59Z` is `4713-12-31 23:59:59 BC`, and what has a time zone is shown in UTC. */
function timeText(raw: string, type: 'DATE' | 'TIMESTAMP' | 'TIMESTAMPTZ'): string {
  const part = (group: number): string =>
    `regexp_extract(${raw}, '^([+-]?\\d+)(-\\d\\d-\\d\\d)(T?)([^Z]*)', ${group})`;
  const year = `CAST(${part(1)} AS BIGINT)`;
  const written = `format('{:04d}', CASE WHEN ${year} > 0 THEN ${year} ELSE 1 - ${year} END)`;
  const time = `rtrim(regexp_replace(${part(4)}, '(\\.\\d*?)0+$', '\\1'), '.')`;
  const zone = type === 'TIMESTAMPTZ' ? ` || '+00'` : '';
  const rest = type === 'DATE' ? '' : ` || ' ' || ${time}${zone}`;
  return `CASE WHEN regexp_matches(${raw}, '^[+-]?\\d+-\\d\\d-\\d\\d(T[0-9:.]+)?Z$') THEN ${written} || ${part(2)}${rest} || CASE WHEN ${year} > 0 THEN '' ELSE ' BC' END ELSE ${raw} END`;
}

function bytesSql(raw: string, { binary, placeholder }: ValueModes): ValueSql {
  const text = oneOf(raw, [placeholder, Buffer.from(placeholder).toString('base64')]);
  const value = `TRY(CASE WHEN NOT ${text} THEN ${decoded(raw, binary)} END)`;
  return { value, text: raw, isUnavailable: text };
}

function decoded(raw: string, binary: ValueModes['binary']): string {
  if (binary === 'hex') return `unhex(${raw})`;
  return binary === 'base64' ? `from_base64(${raw})` : `from_base64(translate(${raw}, '-_', '+/'))`;
}

/** All other types are text; where the connectors have words of their own, they become PostgreSQL's. */
function textSql(raw: string, sqlType: string, modes: ValueModes): ValueSql {
  const isUnavailable = oneOf(raw, [
    modes.placeholder,
    JSON.stringify({ [modes.placeholder]: modes.placeholder }),
  ]);
  const text = `CASE WHEN NOT ${isUnavailable} THEN ${wordsOf(raw, sqlType, modes)} END`;
  return { value: text, text: raw, isUnavailable };
}

function wordsOf(raw: string, sqlType: string, { times }: ValueModes): string {
  if (sqlType.startsWith('numeric')) return numericText(raw);
  if (!/^time\b/.test(sqlType)) return raw;
  if (sqlType.endsWith('with time zone')) return `replace(${raw}, 'Z', '+00')`;
  if (times === 'isostring') return `rtrim(${raw}, 'Z')`;
  const perUnit = times === 'adaptive_time_microseconds' ? 1 : microsPerUnit(sqlType, times);
  return `TRY(CAST(CAST(make_timestamp(TRY_CAST(${raw} AS BIGINT) * ${perUnit}) AS TIME) AS VARCHAR))`;
}

/** A JSON array as Debezium writes it, or PostgreSQL's own text as the native connector does; of one dimension, from 1 on. */
function arraySql(raw: string, type: string, sqlType: string, modes: ValueModes): ValueSql {
  const { placeholder } = modes;
  const isUnavailable = oneOf(raw, [
    placeholder,
    JSON.stringify([placeholder]),
    JSON.stringify([...Buffer.from(placeholder)]),
  ]);
  const element = type.slice(0, -2);
  const written = `list_transform(regexp_extract_all(${raw}, '"(?:[^"\\\\]|\\\\.)*"|[^,{}]+'), lambda item: CASE WHEN item[1] = '"' THEN regexp_replace(substr(item, 2, length(item) - 2), '\\\\(.)', '\\1', 'gs') WHEN item = 'NULL' THEN NULL ELSE item END)`;
  const items = `CASE WHEN ${isUnavailable} THEN NULL WHEN ${raw}[1] = '{' AND ${raw}[2] <> '{' THEN ${written} WHEN ${raw}[1] = '[' AND ${raw}[-1] = ']' THEN TRY(from_json(${raw}, '["VARCHAR"]')) END`;
  if (element === 'VARCHAR') {
    const words = sqlType.startsWith('time')
      ? `list_transform(${items}, lambda item: ${wordsOf('item', sqlType.replace('[]', ''), modes)})`
      : items;
    return { value: words, text: raw, isUnavailable };
  }
  const typed = `list_transform(${items}, lambda item: ${elementSql('item', element, sqlType, modes)})`;
  return {
    value: `CASE WHEN list_count(${items}) = list_count(${typed}) THEN ${typed} END`,
    text: raw,
    isUnavailable,
  };
}

/** In PostgreSQL's words, or as a value of its own is written. */
function elementSql(item: string, type: string, sqlType: string, modes: ValueModes): string {
  if (type.startsWith('DECIMAL')) return decimalSql(item, type);
  if (type === 'BLOB')
    return `TRY(CASE WHEN starts_with(${item}, '\\x') THEN unhex(substr(${item}, 3)) ELSE ${decoded(item, modes.binary)} END)`;
  if (type === 'FLOAT') return realSql(item);
  if (type === 'BOOLEAN' || type === 'DOUBLE') return `TRY_CAST(${item} AS ${type})`;
  if (type === 'TIMESTAMP' || type === 'TIMESTAMPTZ') {
    const number = `TRY(make_timestamp(TRY_CAST(${item} AS BIGINT) * ${microsPerUnit(sqlType, modes.times)}))`;
    const text = `CASE WHEN ${item}[-2:] <> 'BC' THEN TRY_CAST(ltrim(${item}, '+') AS ${type}) END`;
    return modes.times === 'isostring' || type === 'TIMESTAMPTZ'
      ? text
      : `coalesce(${number}, ${text})`;
  }
  if (type === 'DATE') {
    const number = `TRY(DATE '1970-01-01' + TRY_CAST(${item} AS INTEGER))`;
    const text = `CASE WHEN ${item}[-2:] <> 'BC' THEN TRY_CAST(ltrim(${item}, '+') AS DATE) END`;
    return modes.times === 'isostring' ? text : `coalesce(${number}, ${text})`;
  }
  return exactly(item, type);
}

function oneOf(raw: string, words: readonly string[]): string {
  return `${raw} IN (${words.map(sqlString).join(', ')})`;
}
