import { createHash } from 'node:crypto';
import type { SqlColumn } from '../../ports/sql-engine.ts';
import type { LakeColumn, Manifest } from '../lake/manifest.ts';
import { isSameNumber } from '../lake/same-column.ts';
import { sqlIdentifier } from './literal.ts';

/** A table that models may read. */
export type SourceTable = Readonly<{
  schema: string;
  name: string;
  columns: readonly SqlColumn[];
  /** Columns that it had, when the first change without them came, and what they are called since, if they are. */
  dropped: readonly Readonly<{ name: string; atMs?: number; now?: string }>[];
}>;

/** The lake's tables as they are today; those of which it has no change yet are not among them. */
export function lakeSources({ tables }: Manifest): readonly SourceTable[] {
  return Object.values(tables).flatMap(({ schema, name, schemas, changes }) => {
    const today = schemas.at(-1);
    if (today === undefined) return [];
    const present = new Set(today.columns.map((column) => column.name));
    const lastWith = new Map<string, Readonly<{ id: number; column: LakeColumn }>>();
    for (const { id, columns } of schemas)
      for (const column of columns)
        if (!present.has(column.name)) lastWith.set(column.name, { id, column });
    const dropped = [...lastWith].map(([column, last]) => {
      const times = changes.filter((file) => file.schema > last.id).map((file) => file.minTimeMs);
      const now = today.columns.find((each) => isSameNumber(each, last.column) === true);
      return {
        name: column,
        ...(times.length > 0 && { atMs: Math.min(...times) }),
        ...(now !== undefined && { now: now.name }),
      };
    });
    const columns = today.columns.map((column) => ({ name: column.name, type: column.type }));
    return [{ schema, name, columns, dropped }];
  });
}

/** By `orders` or `public.orders`; without a schema, a table of `public` comes first. */
export function findSource(
  tables: readonly SourceTable[],
  source: string,
): SourceTable | undefined {
  return (
    tables.find((table) => fullName(table) === source) ??
    tables.find(({ schema, name }) => schema === 'public' && name === source) ??
    tables.find(({ name }) => name === source)
  );
}

export function fullName({ schema, name }: Pick<SourceTable, 'schema' | 'name'>): string {
  return `${schema}.${name}`;
}

/** `sourceName`, quoted. */
export function sourceRelation(table: Pick<SourceTable, 'schema' | 'name'>): string {
  return sqlIdentifier(sourceName(table));
}

/**
 * A table's name in the SQL that engines run. No two tables share one, though engines take names that
 * differ in case alone for the same, and schemas and tables may have `__` in theirs: where the plain
 * name could be another table's, a hash ends it.
 */
export function sourceName({ schema, name }: Pick<SourceTable, 'schema' | 'name'>): string {
  const plain = `src__${schema}__${name}`;
  const isOwn =
    plain === plain.toLowerCase() && !/__|_$/.test(schema) && !/__[0-9a-f]{16}$/.test(name);
  if (isOwn) return plain;
  const hash = createHash('sha256')
    .update(JSON.stringify([schema, name]))
    .digest('hex');
  return `${plain}__${hash.slice(0, 16)}`;
}
