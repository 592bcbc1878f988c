import { must } from '../../lib/must.ts';
import type { ReplicaIdentity, Table } from '../../ports/change-source.ts';
import type { TextQuery, TextRow } from './client.ts';

/** The tables that logical replication can follow, as the snapshot that `query` runs in sees them. */
export async function readTables(query: TextQuery): Promise<readonly Table[]> {
  const rows = await query(`${TABLES} ORDER BY n.nspname, c.relname`);
  return rows.map(tableOf);
}

export async function readTable(query: TextQuery, oid: number): Promise<Table | undefined> {
  const [row] = await query(`${TABLES} AND c.oid = $1::oid`, [oid]);
  return row && tableOf(row);
}

/**
 * Temporary and unlogged tables write no WAL; schemas named pg_… are the system's. In the index,
 * the columns past `indnkeyatts` are only INCLUDEd.
 */
const TABLES = `
  SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, c.reltuples,
    (SELECT coalesce(json_agg(json_build_object(
        'name', a.attname,
        'typeOid', a.atttypid::int8,
        'typeModifier', a.atttypmod,
        'typeName', format_type(a.atttypid, a.atttypmod),
        'isGenerated', a.attgenerated <> '') ORDER BY a.attnum), '[]')
      FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT coalesce(json_agg(a.attname ORDER BY k.position), '[]')
      FROM pg_index i
      CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
      WHERE i.indrelid = c.oid AND i.indisprimary AND k.position <= i.indnkeyatts) AS primary_key,
    (SELECT coalesce(json_agg(a.attname ORDER BY k.position), '[]')
      FROM (SELECT i.indkey, i.indnkeyatts
        FROM pg_index i
        JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
          AND i.indpred IS NULL AND i.indexprs IS NULL
          AND NOT EXISTS (SELECT FROM pg_index p WHERE p.indrelid = c.oid AND p.indisprimary)
          AND NOT EXISTS (SELECT FROM pg_attribute a
            WHERE a.attrelid = c.oid AND NOT a.attnotnull
              AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
        ORDER BY x.relname
        LIMIT 1) AS i
      CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
      WHERE k.position <= i.indnkeyatts) AS unique_key,
    (SELECT coalesce(json_agg(a.attname ORDER BY k.position), '[]')
      FROM pg_index i
      CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
      WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND k.position <= i.indnkeyatts
        AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident
          ELSE false END) AS identity_columns
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

const IDENTITIES: Readonly<Record<string, ReplicaIdentity>> = {
  d: 'default',
  n: 'nothing',
  f: 'full',
  i: 'index',
};

function tableOf(row: TextRow): Table {
  const value = (name: string) => must(row[name], `the catalogue query gives ${name}`);
  return {
    oid: Number(value('oid')),
    schema: value('nspname'),
    name: value('relname'),
    // The query above builds the JSON in the shape of the type.
    columns: JSON.parse(value('columns')) as Table['columns'],
    primaryKey: JSON.parse(value('primary_key')) as readonly string[],
    uniqueKey: JSON.parse(value('unique_key')) as readonly string[],
    replicaIdentity: must(IDENTITIES[value('relreplident')], 'pg_class knows four identities'),
    identityColumns: JSON.parse(value('identity_columns')) as readonly string[],
    estimatedRows: Number(value('reltuples')),
    kind: value('relkind') === 'p' ? 'partitioned' : 'table',
  };
}
