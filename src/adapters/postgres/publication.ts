import pg from 'pg';
import type { Table } from '../../ports/change-source.ts';
import type { PostgresClient } from './client.ts';

/** Creates the publication, or brings it to these tables; one that already fits is left alone. */
export async function ensurePublication(
  client: PostgresClient,
  name: string,
  wanted: 'all' | readonly Table[],
): Promise<void> {
  const existing = await readPublication(client, name);
  if (existing !== undefined && fits(existing, wanted)) return;
  const statements = statementsFor(name, existing, wanted);
  await client.attempt(
    {
      purpose: existing === undefined ? 'create the publication' : 'alter the publication',
      sql: statements.join('; '),
    },
    // One implicit transaction: decoding sees the publication before or after, never without it.
    statements.join(';\n'),
  );
}

export async function publicationExists(client: PostgresClient, name: string): Promise<boolean> {
  return (await readPublication(client, name)) !== undefined;
}

type Publication = Readonly<{ isForAll: boolean; hasSchemas: boolean; tableOids: Set<number> }>;

async function readPublication(
  client: PostgresClient,
  name: string,
): Promise<Publication | undefined> {
  const [row] = await client.query(
    `SELECT p.puballtables,
        (SELECT coalesce(json_agg(r.prrelid::int8), '[]')
          FROM pg_publication_rel r WHERE r.prpubid = p.oid) AS tables,
        -- Publications of whole schemas came with PostgreSQL 15, and this catalogue with them.
        to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL AS knows_schemas
      FROM pg_publication p WHERE p.pubname = $1`,
    [name],
  );
  if (row === undefined) return undefined;
  const schemas =
    row['knows_schemas'] === 't'
      ? await client.query(
          `SELECT FROM pg_publication_namespace s JOIN pg_publication p ON p.oid = s.pnpubid
            WHERE p.pubname = $1`,
          [name],
        )
      : [];
  return {
    isForAll: row['puballtables'] === 't',
    hasSchemas: schemas.length > 0,
    tableOids: new Set(JSON.parse(row['tables'] ?? '[]') as readonly number[]),
  };
}

function fits(existing: Publication, wanted: 'all' | readonly Table[]): boolean {
  if (wanted === 'all') return existing.isForAll;
  return (
    !existing.isForAll &&
    !existing.hasSchemas &&
    existing.tableOids.size === wanted.length &&
    wanted.every((table) => existing.tableOids.has(table.oid))
  );
}

function statementsFor(
  name: string,
  existing: Publication | undefined,
  wanted: 'all' | readonly Table[],
): readonly string[] {
  const publication = pg.escapeIdentifier(name);
  const list = wanted === 'all' ? '' : wanted.map(qualifiedName).join(', ');
  const create =
    wanted === 'all'
      ? `CREATE PUBLICATION ${publication} FOR ALL TABLES`
      : `CREATE PUBLICATION ${publication}${list === '' ? '' : ` FOR TABLE ${list}`}`;
  if (existing === undefined) return [create];
  // FOR ALL TABLES can neither be set nor unset, and SET TABLE takes no empty list.
  if (wanted === 'all' || existing.isForAll || list === '') {
    return [`DROP PUBLICATION ${publication}`, create];
  }
  return [`ALTER PUBLICATION ${publication} SET TABLE ${list}`];
}

export function qualifiedName(table: Readonly<{ schema: string; name: string }>): string {
  return `${pg.escapeIdentifier(table.schema)}.${pg.escapeIdentifier(table.name)}`;
}
