import {
  type DuckDBDataChunk,
  DuckDBBlobValue,
  DuckDBArrayValue,
  DuckDBDateValue,
  DuckDBListValue,
  DuckDBMapValue,
  type DuckDBResult,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBType,
  DuckDBTypeId,
  DuckDBUnionValue,
  type DuckDBValue,
} from '@duckdb/node-api';
import type { SqlColumn, SqlValue } from '../../ports/sql-engine.ts';

export function columnsOf(result: DuckDBResult): SqlColumn[] {
  return result.columnTypes().map((type, index) => columnOf(result.columnName(index), type));
}

/** Its type as DuckDB writes it, but TIMESTAMPTZ and TIMETZ in one word; names of fields are quoted where that makes a difference. */
export function columnOf(name: string, type: DuckDBType): SqlColumn {
  const written = (type.alias ?? type.toString())
    .replaceAll('TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ')
    .replaceAll('TIME WITH TIME ZONE', 'TIMETZ')
    .replaceAll(/"([a-z_][a-z0-9_]*)"/g, '$1');
  return { name, type: written };
}

export function rowsOf(chunk: DuckDBDataChunk): SqlValue[][] {
  const isReal = Array.from(
    { length: chunk.columnCount },
    (_, index) => chunk.getColumnVector(index).type.typeId === DuckDBTypeId.FLOAT,
  );
  return chunk
    .getRows()
    .map((row) =>
      row.map((value, index) =>
        isReal[index] === true && typeof value === 'number' ? realValue(value) : valueOf(value),
      ),
    );
}

/**
 * As PostgreSQL writes it in text, where JSON has no such type: `2026-11-23 10:20:30.5+00`,
 * `0044-03-15 BC`, `infinity`, `NaN`, bytes as `\x00ff`. Decimals and whole numbers past 2^53 are
 * text. A map is a list of `{ key, value }`; a union is its value.
 */
function valueOf(value: DuckDBValue): SqlValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return numberValue(value);
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof DuckDBBlobValue) return `\\x${Buffer.from(value.bytes).toString('hex')}`;
  if (value instanceof DuckDBDateValue)
    return value.isFinite ? era(value) : infinite(value.days < 0);
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue)
    return value.isFinite ? era(value) : infinite(value.micros < 0n);
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue)
    return value.items.map(valueOf);
  if (value instanceof DuckDBStructValue)
    return Object.fromEntries(
      Object.entries(value.entries).map(([name, each]) => [name, valueOf(each)]),
    );
  if (value instanceof DuckDBMapValue)
    return value.entries.map((entry) => ({ key: valueOf(entry.key), value: valueOf(entry.value) }));
  if (value instanceof DuckDBUnionValue) return valueOf(value.value);
  return String(value);
}

function numberValue(value: number): SqlValue {
  if (Number.isFinite(value)) return value;
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

/** The shortest number that is this real: 0.1 rather than 0.10000000149011612. */
function realValue(value: number): SqlValue {
  for (let digits = 6; digits < 9 && Number.isFinite(value); digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return shorter;
  }
  return numberValue(value);
}

function infinite(negative: boolean): string {
  return negative ? '-infinity' : 'infinity';
}

/** DuckDB puts it in parentheses. */
function era(value: DuckDBDateValue | DuckDBTimestampValue | DuckDBTimestampTZValue): string {
  const text = String(value);
  return text.includes('(BC)') ? text.replace(/ \(BC\)(.*)$/, '$1 BC') : text;
}
