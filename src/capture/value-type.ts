import type { ConnectorConfig, ConnectorEngine } from './connector-config.ts';

/**
 * What a processor is given for a column's value, null aside.
 *
 * - `integer`: a number, or its digits where a double would round it.
 * - `float`: a number, or the name of what JSON has no number for.
 * - `unknown`: of a form that depends on the connector.
 */
export type ValueType = 'text' | 'number' | 'integer' | 'float' | 'boolean' | 'unknown';

/** Built-in types by OID (pg_type.dat) whose values are not text in JSON. */
const NOT_TEXT = new Map<number, ValueType>([
  [16, 'boolean'],
  [20, 'integer'], // int8
  [21, 'number'], // int2
  [23, 'number'], // int4
  [26, 'number'], // oid
  [700, 'float'],
  [701, 'float'],
]);

const NUMERIC = 1700;
/** date, time, timestamp: the other two times are text in every mode. */
const TIMES_BY_MODE: ReadonlySet<number> = new Set([1082, 1083, 1114]);

/** Further types that both connectors write as text, as docs/reference/debezium-compatibility.md lists them. */
const TEXT_IN_BOTH: ReadonlySet<number> = new Set([
  17, // bytea
  18, // "char"
  19, // name
  25, // text
  114, // json
  142, // xml
  650, // cidr
  774, // macaddr8
  829, // macaddr
  869, // inet
  1042, // char(n)
  1043, // varchar
  1184, // timestamptz
  1266, // timetz
  2950, // uuid
  3614, // tsvector
  3802, // jsonb
  3904, // int4range
  3906, // numrange
  3908, // tsrange
  3910, // tstzrange
  3912, // daterange
  3926, // int8range
]);

/** The type of the JSON that a connector of this configuration writes for a column, enums left aside. */
export function valueTypeOf(
  typeOid: number,
  { options }: Pick<ConnectorConfig, 'options'>,
  engine: ConnectorEngine,
): ValueType {
  const plain = NOT_TEXT.get(typeOid);
  if (plain !== undefined) return plain;
  // The native connector has one mode of each, and writes what it does not know as text.
  if (engine === 'native') return 'text';
  if (typeOid === NUMERIC) return DECIMALS[options['decimal.handling.mode'] ?? ''] ?? 'unknown';
  if (TIMES_BY_MODE.has(typeOid))
    return options['time.precision.mode'] === 'isostring' ? 'text' : 'integer';
  return TEXT_IN_BOTH.has(typeOid) ? 'text' : 'unknown';
}

/** Without one, Debezium writes bytes, or an object with the scale. */
const DECIMALS: Readonly<Record<string, ValueType>> = { string: 'text', double: 'float' };
