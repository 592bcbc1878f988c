import type { SqlColumn } from '../../ports/sql-engine.ts';
import { childrenOf, firstWordLine, lineAt, locationOf, type SqlNode } from './ast.ts';
import type { Model } from './model.ts';
import type { Problem } from './problem.ts';

/** By a type's first word: what to make of it, as Parquet, or Spark that reads it, changes or refuses it. */
const CASTS: Readonly<Record<string, string>> = {
  HUGEINT: 'BIGINT',
  UHUGEINT: 'BIGINT',
  UBIGINT: 'BIGINT',
  UINTEGER: 'BIGINT',
  USMALLINT: 'INTEGER',
  UTINYINT: 'SMALLINT',
  TINYINT: 'SMALLINT',
  UUID: 'STRING',
  JSON: 'STRING',
  ENUM: 'STRING',
  TIME: 'STRING',
  INTERVAL: 'STRING',
  BIT: 'STRING',
  TIMESTAMP_S: 'TIMESTAMP',
  TIMESTAMP_MS: 'TIMESTAMP',
  TIMESTAMP_NS: 'TIMESTAMP',
  BIGNUM: 'STRING',
  VARINT: 'STRING',
  UNION: 'STRING',
};

/** Columns that can't be kept, or not under their name. */
export function resultProblems(
  { file, line: firstLine }: Pick<Model, 'file' | 'line'>,
  { columns, ast, sql }: Readonly<{ columns: readonly SqlColumn[]; ast: SqlNode; sql: string }>,
): readonly Problem[] {
  const seen = new Set<string>();
  const items = childrenOf(ast, 'select_list');
  const hasStar = items.some((item) => item['class'] === 'STAR');
  return columns.flatMap(({ name, type }, index) => {
    const item = hasStar ? undefined : items[index];
    const location = item === undefined ? undefined : locationOf(item);
    const line =
      firstLine - 1 + (location === undefined ? firstWordLine(sql) : lineAt(sql, location));
    const texts: string[] = [];
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      texts.push(
        `column ${index + 1}, ${name}, needs a name of letters, digits and _: write \`… AS name\``,
      );
    else if (seen.has(name.toLowerCase()))
      texts.push(`two columns are named ${name}: write \`… AS other_name\` for one of them`);
    seen.add(name.toLowerCase());
    const cast = castFor(type);
    if (cast !== undefined)
      texts.push(
        `column ${name} is ${type}, which can't be kept: write CAST(… AS ${cast}) AS ${name}`,
      );
    return texts.map((text) => ({ file, line, text }));
  });
}

/** Also within lists, structs and maps. */
function castFor(type: string): string | undefined {
  const isTime = /\bTIME\b(?! ZONE)/.test(type);
  const words = type.match(/\b[A-Z_]+\b/g) ?? [];
  const bad = words.find((word) => word !== 'TIME' && Object.hasOwn(CASTS, word));
  const found = bad ?? (isTime ? 'TIME' : undefined);
  if (found === undefined) return undefined;
  const cast = CASTS[found] ?? 'STRING';
  return type.endsWith('[]') ? type.replace(found, cast) : cast;
}
