import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBType,
  type DuckDBValue,
  LIST,
  SQLNULL,
  STRUCT,
  VARCHAR,
  listValue,
  structValue,
} from '@duckdb/node-api';
import type { SqlValue } from '../../ports/sql-engine.ts';

/** A parameter as DuckDB takes it: whole numbers as BIGINT, others as DOUBLE, text as VARCHAR. */
export function parameterOf(value: SqlValue): { value: DuckDBValue; type: DuckDBType } {
  if (value === null) return { value, type: SQLNULL };
  if (typeof value === 'string') return { value, type: VARCHAR };
  if (typeof value === 'boolean') return { value, type: BOOLEAN };
  if (typeof value === 'number')
    return Number.isSafeInteger(value)
      ? { value: BigInt(value), type: BIGINT }
      : { value, type: DOUBLE };
  if (isList(value)) return listParameter(value);
  const entries = Object.entries(value).map(([name, each]) => [name, parameterOf(each)] as const);
  return {
    value: structValue(Object.fromEntries(entries.map(([name, each]) => [name, each.value]))),
    type: STRUCT(Object.fromEntries(entries.map(([name, each]) => [name, each.type]))),
  };
}

/** Its type is that of its first value which is not null; numbers are all DOUBLE when one of them is. */
function listParameter(list: readonly SqlValue[]): { value: DuckDBValue; type: DuckDBType } {
  const fractional = list.some((each) => typeof each === 'number' && !Number.isSafeInteger(each));
  const items = list.map((each) =>
    fractional && typeof each === 'number' ? { value: each, type: DOUBLE } : parameterOf(each),
  );
  return {
    value: listValue(items.map(({ value }) => value)),
    type: LIST(items.find(({ value }) => value !== null)?.type ?? SQLNULL),
  };
}

// Array.isArray does not tell a readonly array from an object.
function isList(value: SqlValue): value is readonly SqlValue[] {
  return Array.isArray(value);
}
