import type { TextQuery } from './client.ts';

/** What the catalogue says of a column's values. */
export type ColumnFacts = Readonly<{
  table: number;
  column: string;
  /** Its place in the table, which no other column ever has there. */
  number: number;
  isNotNull: boolean;
  /** Of an enum, or of a domain over one, in its order. */
  labels: readonly string[] | undefined;
  /** As text: what rows have that were written before the column was added, and not since. */
  missing: string | undefined;
  /** Older rows may have a value of its default, each its own, that PostgreSQL wrote into them and told nobody. */
  isFilled: boolean;
}>;

/** Of all columns of the tables with these OIDs. */
export async function readColumnFacts(
  query: TextQuery,
  tables: readonly number[],
): Promise<readonly ColumnFacts[]> {
  const rows = await query(COLUMNS, [tables]);
  return rows.map(({ attrelid, attname, attnum, attnotnull, labels, missing, filled }) => ({
    table: Number(attrelid),
    column: attname ?? '',
    number: Number(attnum),
    isNotNull: attnotnull === 't',
    // The query below builds the JSON in the shape of the type.
    labels: labels ? (JSON.parse(labels) as readonly string[]) : undefined,
    missing: missing ?? undefined,
    isFilled: filled === 't',
  }));
}

const COLUMNS = `
  SELECT a.attrelid, a.attname, a.attnum, a.attnotnull,
    (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)
      FROM pg_enum e
      WHERE e.enumtypid IN (t.oid, t.typbasetype)) AS labels,
    CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END AS missing,
    NOT a.atthasmissing AND (a.atthasdef OR a.attidentity <> '') AS filled
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  ORDER BY a.attrelid, a.attnum`;
