import type { SqlColumn } from '../../ports/sql-engine.ts';

/** A type as Spark tells it in JSON. */
export type SparkType =
  | string
  | Readonly<{ type: 'array'; elementType: SparkType }>
  | Readonly<{ type: 'map'; keyType: SparkType; valueType: SparkType }>
  | Readonly<{ type: 'struct'; fields: readonly Readonly<{ name: string; type: SparkType }>[] }>;

/** Of a Parquet file's columns, for Spark's reader; types that no lake has are Spark's to refuse. */
export function sparkSchema(columns: readonly SqlColumn[]): string {
  return columns.map(({ name, type }) => `${backQuoted(name)} ${sparkType(type)}`).join(', ');
}

/** In DuckDB's words. */
export function duckdbType(type: SparkType): string {
  if (typeof type === 'string') {
    if (type.startsWith('decimal')) return type.toUpperCase();
    return DUCKDB_TYPES[type] ?? type.toUpperCase();
  }
  if (type.type === 'array') return `${duckdbType(type.elementType)}[]`;
  if (type.type === 'map') return `MAP(${duckdbType(type.keyType)}, ${duckdbType(type.valueType)})`;
  const fields = type.fields.map((each) => `${doubleQuoted(each.name)} ${duckdbType(each.type)}`);
  return `STRUCT(${fields.join(', ')})`;
}

const DUCKDB_TYPES: Readonly<Record<string, string>> = {
  boolean: 'BOOLEAN',
  byte: 'TINYINT',
  short: 'SMALLINT',
  integer: 'INTEGER',
  long: 'BIGINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  string: 'VARCHAR',
  binary: 'BLOB',
  date: 'DATE',
  timestamp: 'TIMESTAMPTZ',
  timestamp_ntz: 'TIMESTAMP',
  void: 'INTEGER',
};

/** What DuckDB's type is once it is in a Parquet file, where Spark has another word for it. */
const SPARK_TYPES: Readonly<Record<string, string>> = {
  HUGEINT: 'DOUBLE',
  UBIGINT: 'DECIMAL(20,0)',
  UINTEGER: 'BIGINT',
  USMALLINT: 'INT',
  UTINYINT: 'SMALLINT',
  VARCHAR: 'STRING',
  JSON: 'STRING',
  BLOB: 'BINARY',
  TIMESTAMP: 'TIMESTAMP_NTZ',
  TIMESTAMPTZ: 'TIMESTAMP_LTZ',
  'TIMESTAMP WITH TIME ZONE': 'TIMESTAMP_LTZ',
};

function sparkType(type: string): string {
  const list = /^(.*)\[\]$/s.exec(type)?.[1];
  if (list !== undefined) return `ARRAY<${sparkType(list)}>`;
  const [, kind, inner] = /^(STRUCT|MAP)\s*\((.*)\)$/is.exec(type) ?? [];
  if (kind === undefined || inner === undefined) return SPARK_TYPES[type.toUpperCase()] ?? type;
  const parts = splitList(inner);
  if (kind.toUpperCase() === 'MAP') return `MAP<${parts.map(sparkType).join(', ')}>`;
  const fields = parts.map((part) => {
    const [, quoted, bare = '', of = ''] = /^(?:"((?:[^"]|"")*)"|(\S+))\s+(.*)$/s.exec(part) ?? [];
    return `${backQuoted(quoted?.replaceAll('""', '"') ?? bare)}: ${sparkType(of)}`;
  });
  return `STRUCT<${fields.join(', ')}>`;
}

/** At the commas that are in no parentheses and no quotes. */
function splitList(text: string): string[] {
  const parts = [''];
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"]|"")*"|[^"]/gs)) {
    if (token === '(') depth++;
    if (token === ')') depth--;
    if (token === ',' && depth === 0) parts.push('');
    else parts.push(`${parts.pop() ?? ''}${token}`);
  }
  return parts.map((part) => part.trim());
}

function backQuoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

function doubleQuoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
