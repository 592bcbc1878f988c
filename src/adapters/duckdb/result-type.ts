import type { SqlColumn } from '../../ports/sql-engine.ts';

/** Types whose values Spark reads from Parquet as they were written. */
const PORTABLE = new Set([
  'BOOLEAN',
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'FLOAT',
  'DOUBLE',
  'DECIMAL',
  'VARCHAR',
  'BLOB',
  'DATE',
  'TIMESTAMP',
  'TIMESTAMPTZ',
  'STRUCT',
  'MAP',
]);

/** Of a type; names of fields are in lower case, or quoted. */
const WORD = /\b[A-Z][A-Z_]*\b/g;

/** What to write instead; what stands in neither table is written as text. */
const INSTEAD: Readonly<Record<string, string>> = {
  UTINYINT: 'SMALLINT',
  USMALLINT: 'INTEGER',
  UINTEGER: 'BIGINT',
  UBIGINT: 'DECIMAL(20,0)',
  HUGEINT: 'DECIMAL(38,0)',
  UHUGEINT: 'DECIMAL(38,0)',
  BIGNUM: 'DECIMAL(38,0)',
  TIMESTAMP_S: 'TIMESTAMP',
  TIMESTAMP_MS: 'TIMESTAMP',
  TIMESTAMP_NS: 'TIMESTAMP',
};

/**
 * Columns that DuckDB makes BIGINT in what it stores: sums of whole numbers, which are HUGEINT in
 * DuckDB alone. A sum that does not fit fails, as it does elsewhere.
 */
export function sumsOf(columns: readonly SqlColumn[]): SqlColumn[] {
  return columns.filter(({ type }) => type === 'HUGEINT');
}

/** Why these columns can't be a model's result; undefined when they can. */
export function refusalOf(columns: readonly SqlColumn[]): string | undefined {
  const names = columns.map(({ name }) => name.toLowerCase());
  const twice = columns.find(({ name }, index) => names.indexOf(name.toLowerCase()) !== index);
  if (twice !== undefined)
    return `Two columns are called "${twice.name}" (case does not tell them apart): give one another name, with AS.`;
  const odd = columns.find(({ type }) => type !== 'HUGEINT' && !isPortable(type));
  if (odd === undefined) return undefined;
  const quoted = `"${odd.name}"`;
  return `Column ${quoted} is ${odd.type}, which files that every engine reads can't hold: write CAST(${quoted} AS ${portable(odd.type)}).`;
}

function isPortable(type: string): boolean {
  // Names of fields and values of enumerations stand in quotes; fixed lengths in brackets.
  return (
    !/\[\d+\]/.test(type) && (unquoted(type).match(WORD) ?? []).every((word) => PORTABLE.has(word))
  );
}

function portable(type: string): string {
  if (type.includes('ENUM(') || type.includes('UNION(')) return 'VARCHAR';
  const parts = type.split(/("(?:[^"]|"")*")/);
  return parts
    .map((part) =>
      part.startsWith('"')
        ? part
        : part
            .replaceAll(/\[\d+\]/g, '[]')
            .replaceAll(WORD, (word) => (PORTABLE.has(word) ? word : (INSTEAD[word] ?? 'VARCHAR'))),
    )
    .join('');
}

function unquoted(type: string): string {
  return type.replaceAll(/"(?:[^"]|"")*"|'(?:[^']|'')*'/g, '');
}
