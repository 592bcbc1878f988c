import { parseLsn } from '../../domain/lsn.ts';
import type { Lsn } from '../../domain/lsn.ts';
import type { Slot } from '../../ports/change-source.ts';
import type { PostgresClient, TextQuery } from './client.ts';

export async function readSlot(query: TextQuery, name: string): Promise<Slot | undefined> {
  const [row] = await query(
    `SELECT plugin, database, active, wal_status, confirmed_flush_lsn, restart_lsn,
        pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) AS retained,
        -- What was confirmed may be received before this server's own count of it moves.
        greatest(0, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)) AS lag
      FROM pg_replication_slots WHERE slot_name = $1`,
    [name],
  );
  if (row === undefined) return undefined;
  const isLogical = row['plugin'] !== null;
  return {
    // A physical slot has neither plugin nor database.
    plugin: row['plugin'] ?? '',
    database: row['database'] ?? '',
    active: row['active'] === 't',
    confirmedFlush: lsnOrNone(row['confirmed_flush_lsn']),
    restartLsn: lsnOrNone(row['restart_lsn']),
    walStatus: WAL_STATES.find((state) => state === row['wal_status']),
    retainedBytes: numberOrNone(row['retained']),
    // greatest() leaves NULLs out.
    lagBytes: isLogical ? numberOrNone(row['lag']) : undefined,
  };
}

/** Fails with `slot_missing`, and with `slot_in_use` while somebody reads from it. */
export async function dropSlot(client: PostgresClient, name: string): Promise<void> {
  await client.attempt(
    { purpose: 'drop the replication slot', slot: name },
    'SELECT pg_drop_replication_slot($1)',
    [name],
  );
}

/** A transaction that a new slot has to see end before it can say what its snapshot holds. */
export type Blocker = Readonly<{
  /** Undefined for a prepared transaction: it has no process, and waits for its COMMIT PREPARED. */
  pid: number | undefined;
  xid: string | undefined;
  /** As PostgreSQL prints it, UTC. */
  startedAt: string | undefined;
  query: string;
}>;

/**
 * Without the rights of pg_read_all_stats, xid, start and query of other users' sessions are
 * hidden; whom a walsender waits for is still told.
 */
export async function readBlockers(query: TextQuery): Promise<readonly Blocker[]> {
  const rows = await query(
    `WITH waited_for AS (
        SELECT unnest(pg_blocking_pids(pid)) AS pid
          FROM pg_stat_activity WHERE backend_type = 'walsender' AND wait_event_type = 'Lock')
      SELECT pid, backend_xid AS xid, xact_start AS started_at, query
        FROM pg_stat_activity
        WHERE pid <> pg_backend_pid()
          AND (backend_xid IS NOT NULL OR pid IN (SELECT pid FROM waited_for))
      UNION ALL
      SELECT NULL, transaction, prepared, format('PREPARE TRANSACTION %L', gid)
        FROM pg_prepared_xacts
      ORDER BY started_at NULLS LAST`,
  );
  return rows.map((row) => ({
    pid: numberOrNone(row['pid']),
    xid: row['xid'] ?? undefined,
    startedAt: row['started_at'] ?? undefined,
    query: row['query'] ?? '',
  }));
}

const WAL_STATES = ['reserved', 'extended', 'unreserved', 'lost'] as const;

function lsnOrNone(text: string | null | undefined): Lsn | undefined {
  return text === null || text === undefined ? undefined : parseLsn(text);
}

function numberOrNone(text: string | null | undefined): number | undefined {
  return text === null || text === undefined ? undefined : Number(text);
}
