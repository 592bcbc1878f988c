import { must } from '../../lib/must.ts';
import type { Slot, Table } from '../../ports/change-source.ts';
import { readTables } from './catalogue.ts';
import type { TextQuery } from './client.ts';
import type { SourceNeeds } from './doctor-check.ts';
import { qualifiedName } from './publication.ts';
import { readSlot } from './slot.ts';

/** What a server says of itself, as far as capture depends on it. */
export type Findings = Readonly<{
  server: ServerFindings;
  role: RoleFindings;
  /** Those that the configuration names; partitioned ones by their leaves. */
  tables: readonly TableFindings[];
  publication: PublicationFindings | undefined;
  slot: (Slot & Readonly<{ reader: string }>) | undefined;
}>;

type ServerFindings = Readonly<{
  /** Such as 180004. */
  version: number;
  isStandby: boolean;
  /** Amazon's servers keep superuser to themselves and have ways of their own. */
  isRds: boolean;
  walLevel: string;
  maxSlots: number;
  slots: number;
  inactiveSlots: readonly string[];
  maxWalSenders: number;
  walSenders: number;
  /** -1: no limit. */
  maxSlotWalKeepMb: number;
  walSenderTimeoutMs: number;
}>;

type RoleFindings = Readonly<{
  name: string;
  database: string;
  isSuperuser: boolean;
  mayReplicate: boolean;
  mayCreateInDatabase: boolean;
}>;

export type TableFindings = Table &
  Readonly<{
    isReadable: boolean;
    /** Row security hides rows from this role, and a copy would miss them. */
    hidesRows: boolean;
    isOwned: boolean;
    /** An index is marked as replica identity and still there. */
    hasIdentityIndex: boolean;
  }>;

export type PublicationFindings = Readonly<{
  isForAll: boolean;
  isOwned: boolean;
  /** Kinds of change that it leaves out. */
  leavesOut: readonly string[];
  /** It names whole schemas, as PostgreSQL 15 and later allow. */
  hasSchemas: boolean;
  /** Those that it names, qualified and quoted as SQL has them. */
  named: ReadonlySet<string>;
  /** Those whose changes it publishes: of schemas and of partitioned tables too. */
  tables: ReadonlySet<string>;
}>;

export async function readFindings(query: TextQuery, needs: SourceNeeds): Promise<Findings> {
  const server = await readServer(query);
  return {
    server,
    role: await readRole(query),
    tables: await readTableFindings(query, needs),
    publication: await readPublication(query, needs.publication, server.version),
    // A standby can't say where WAL is written, and is refused anyway.
    slot: server.isStandby ? undefined : await readSlotAndReader(query, needs.slot),
  };
}

async function readServer(query: TextQuery): Promise<ServerFindings> {
  const value = await readOne(
    query,
    `SELECT current_setting('server_version_num') AS version, pg_is_in_recovery() AS is_standby,
        EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication') AS is_rds,
        current_setting('wal_level') AS wal_level,
        current_setting('max_replication_slots') AS max_slots,
        (SELECT count(*) FROM pg_replication_slots) AS slots,
        (SELECT coalesce(json_agg(slot_name ORDER BY slot_name), '[]')
          FROM pg_replication_slots WHERE NOT active) AS inactive_slots,
        current_setting('max_wal_senders') AS max_wal_senders,
        (SELECT count(*) FROM pg_stat_replication) AS wal_senders,
        (SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS keep_mb,
        (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout') AS timeout_ms`,
  );
  return {
    version: Number(value('version')),
    isStandby: value('is_standby') === 't',
    isRds: value('is_rds') === 't',
    walLevel: value('wal_level'),
    maxSlots: Number(value('max_slots')),
    slots: Number(value('slots')),
    inactiveSlots: JSON.parse(value('inactive_slots')) as readonly string[],
    maxWalSenders: Number(value('max_wal_senders')),
    walSenders: Number(value('wal_senders')),
    maxSlotWalKeepMb: Number(value('keep_mb')),
    walSenderTimeoutMs: Number(value('timeout_ms')),
  };
}

async function readRole(query: TextQuery): Promise<RoleFindings> {
  const value = await readOne(
    query,
    `SELECT rolname, current_database() AS database, rolsuper,
        rolreplication OR EXISTS (
          SELECT FROM pg_roles amazon
          WHERE amazon.rolname = 'rds_replication' AND pg_has_role(amazon.oid, 'MEMBER')
        ) AS may_replicate,
        has_database_privilege(current_database(), 'CREATE') AS may_create
      FROM pg_roles WHERE rolname = current_user`,
  );
  const isSuperuser = value('rolsuper') === 't';
  return {
    name: value('rolname'),
    database: value('database'),
    isSuperuser,
    mayReplicate: isSuperuser || value('may_replicate') === 't',
    mayCreateInDatabase: value('may_create') === 't',
  };
}

async function readTableFindings(
  query: TextQuery,
  { tables: wanted }: SourceNeeds,
): Promise<readonly TableFindings[]> {
  const tables = (await readTables(query)).filter(
    ({ schema, name, kind }) => kind === 'table' && wanted.matches(schema, name),
  );
  const rows = await query(
    `SELECT c.oid,
        has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable,
        row_security_active(c.oid) AS hides_rows,
        pg_has_role(c.relowner, 'USAGE') AS owned,
        EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident) AS has_index
      FROM pg_class c WHERE c.oid = ANY ($1::oid[])`,
    [tables.map(({ oid }) => oid)],
  );
  const byOid = new Map(rows.map((row) => [Number(row['oid']), row]));
  // A table dropped between the two queries is nobody's concern any more.
  return tables.flatMap((table) => {
    const row = byOid.get(table.oid);
    if (row === undefined) return [];
    const is = (name: string): boolean => row[name] === 't';
    return {
      ...table,
      isReadable: is('readable'),
      hidesRows: is('hides_rows'),
      isOwned: is('owned'),
      hasIdentityIndex: is('has_index'),
    };
  });
}

async function readPublication(
  query: TextQuery,
  name: string,
  version: number,
): Promise<PublicationFindings | undefined> {
  const [row] = await query(
    `SELECT puballtables, pg_has_role(pubowner, 'USAGE') AS owned,
        pubinsert AS "INSERT", pubupdate AS "UPDATE", pubdelete AS "DELETE", pubtruncate AS "TRUNCATE",
        (SELECT coalesce(json_agg(json_build_object('schema', n.nspname, 'name', c.relname)), '[]')
          FROM pg_publication_rel r
          JOIN pg_class c ON c.oid = r.prrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE r.prpubid = p.oid) AS named,
        (SELECT coalesce(json_agg(json_build_object('schema', t.schemaname, 'name', t.tablename)), '[]')
          FROM pg_publication_tables t WHERE t.pubname = p.pubname) AS tables
      FROM pg_publication p WHERE pubname = $1`,
    [name],
  );
  if (row === undefined) return undefined;
  const schemas =
    version < 150_000
      ? []
      : await query(
          `SELECT FROM pg_publication_namespace s JOIN pg_publication p ON p.oid = s.pnpubid
            WHERE p.pubname = $1`,
          [name],
        );
  const kinds = ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'];
  return {
    isForAll: row['puballtables'] === 't',
    isOwned: row['owned'] === 't',
    leavesOut: kinds.filter((kind) => row[kind] !== 't'),
    hasSchemas: schemas.length > 0,
    named: tableNames(row['named']),
    tables: tableNames(row['tables']),
  };
}

function tableNames(json: string | null | undefined): ReadonlySet<string> {
  const tables = JSON.parse(json ?? '[]') as readonly { schema: string; name: string }[];
  return new Set(tables.map(qualifiedName));
}

async function readSlotAndReader(query: TextQuery, name: string): Promise<Findings['slot']> {
  const slot = await readSlot(query, name);
  if (slot === undefined) return undefined;
  const [reader] = await query(
    `SELECT s.active_pid AS pid, a.application_name AS application, a.client_addr AS address
      FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid
      WHERE s.slot_name = $1`,
    [name],
  );
  const { pid, application, address } = reader ?? {};
  // Of another user's session, only the number is shown to a role without pg_monitor.
  const words = [
    ['process', pid],
    ['application', application],
    ['from', address],
  ];
  return {
    ...slot,
    reader: words.flatMap(([word, value]) => (value ? [`${word} ${value}`] : [])).join(', '),
  };
}

async function readOne(query: TextQuery, sql: string): Promise<(name: string) => string> {
  const [row] = await query(sql);
  return (name) => must(row?.[name], `the query gives ${name}`);
}
