import pg from 'pg';
import { MillraceError } from '../../domain/errors.ts';
import { OWN_PREFIX } from '../../domain/logical-message.ts';
import { parseLsn } from '../../domain/lsn.ts';
import type { Lsn } from '../../domain/lsn.ts';
import { must } from '../../lib/must.ts';
import type {
  ChangeSource,
  RunningTransactions,
  Slot,
  SourceIdentity,
  Table,
} from '../../ports/change-source.ts';
import { readTable, readTables } from './catalogue.ts';
import { PostgresClient } from './client.ts';
import type { TextQuery } from './client.ts';
import { openConnection, sourceError } from './connection.ts';
import type { ConnectionFacts } from './connection.ts';
import { ensurePublication, publicationExists } from './publication.ts';
import { dropSlot, readBlockers, readSlot } from './slot.ts';
import type { Blocker } from './slot.ts';
import { PostgresSnapshot } from './snapshot.ts';
import { PostgresWalStream } from './wal-stream.ts';
import type { FollowOptions } from './wal-stream.ts';

/** A commit that writes no row; every role may run it, and connectors leave its message out. */
const FLUSH_WAL = `SELECT set_config('synchronous_commit', 'local', true), pg_logical_emit_message(true, '${OWN_PREFIX}', '')`;

/** What `createSlot` gives; disposing it ends the snapshot, and with it a temporary slot. */
export type CreatedSlot = Readonly<{ consistentPoint: Lsn; snapshot: PostgresSnapshot }> &
  AsyncDisposable;

/**
 * PostgreSQL 14 and later as a source of changes. Questions go by one connection, made anew when
 * it was lost; each snapshot and each stream has its own.
 */
export class PostgresSource implements ChangeSource {
  readonly #facts: ConnectionFacts;
  #client: Promise<PostgresClient>;
  /** Of `execute` alone: a statement of the user's own may wait for locks. */
  #executor: PostgresClient | undefined;

  private constructor(facts: ConnectionFacts, client: PostgresClient) {
    this.#facts = facts;
    this.#client = Promise.resolve(client);
  }

  /** Fails with `source_unreachable` or `source_login_failed`. */
  static async open(facts: ConnectionFacts): Promise<PostgresSource> {
    return new PostgresSource(facts, await PostgresClient.connect(facts));
  }

  async identify(): Promise<SourceIdentity> {
    const connection = await openConnection(this.#facts, { replication: true });
    try {
      const { rows } = await connection.query<Record<string, string>>('IDENTIFY_SYSTEM');
      const version = await connection.query<Record<string, string>>('SHOW server_version_num');
      const system = must(rows[0], 'IDENTIFY_SYSTEM gives one row');
      return {
        systemId: must(system['systemid'], 'IDENTIFY_SYSTEM gives systemid'),
        timeline: Number(system['timeline']),
        database: must(system['dbname'], 'the connection is to a database'),
        serverVersion: Number(version.rows[0]?.['server_version_num']),
        walEnd: parseLsn(must(system['xlogpos'], 'IDENTIFY_SYSTEM gives xlogpos')),
      };
    } catch (error) {
      throw sourceError(error, this.#facts, { purpose: 'identify the server' });
    } finally {
      await connection.end().catch(() => undefined); // The answer is in, or the error says more.
    }
  }

  tables(): Promise<readonly Table[]> {
    return readTables(this.query);
  }

  table(oid: number): Promise<Table | undefined> {
    return readTable(this.query, oid);
  }

  async ensurePublication(name: string, tables: 'all' | readonly Table[]): Promise<void> {
    await ensurePublication(await this.#connected(), name, tables);
  }

  async publicationExists(name: string): Promise<boolean> {
    return publicationExists(await this.#connected(), name);
  }

  slot(name: string): Promise<Slot | undefined> {
    return readSlot(this.query, name);
  }

  /**
   * Waits until every transaction that runs now has ended: `blockers` names them. An abort ends
   * the wait, rejects with the signal's reason, and leaves no slot behind.
   */
  async createSlot(
    name: string,
    { temporary = false, signal }: Readonly<{ temporary?: boolean; signal?: AbortSignal }> = {},
  ): Promise<CreatedSlot> {
    signal?.throwIfAborted();
    const connection = await openConnection(this.#facts, {
      replication: true,
      ...(signal ? { signal } : {}),
    });
    try {
      const created = await this.#createSlot(connection, name, temporary, signal);
      try {
        signal?.throwIfAborted();
        const snapshot = await PostgresSnapshot.open(this.#facts, created.snapshotName);
        return {
          consistentPoint: created.consistentPoint,
          snapshot,
          async [Symbol.asyncDispose]() {
            await snapshot[Symbol.asyncDispose]();
            await connection.end().catch(() => undefined); // Lost is ended, too.
          },
        };
      } catch (error) {
        // Without its snapshot the slot is of no use, and would keep WAL for ever.
        // One that a lost connection leaves behind shows as slot_exists at the next start.
        const drop = `DROP_REPLICATION_SLOT ${pg.escapeIdentifier(name)}`;
        await connection.query(drop).catch(() => undefined);
        throw error;
      }
    } catch (error) {
      await connection.end().catch(() => undefined); // The first error says more.
      signal?.throwIfAborted();
      throw sourceError(error, this.#facts, { purpose: 'create the replication slot', slot: name });
    }
  }

  async dropSlot(name: string): Promise<void> {
    await dropSlot(await this.#connected(), name);
  }

  snapshot(): Promise<PostgresSnapshot> {
    return PostgresSnapshot.open(this.#facts);
  }

  async walInsertLsn(): Promise<Lsn> {
    const [row] = await this.query(
      `SELECT pg_current_wal_insert_lsn() AS lsn,
          pg_current_wal_flush_lsn() AS flushed,
          max(setting) FILTER (WHERE name = 'wal_block_size') AS block,
          max(setting) FILTER (WHERE name = 'wal_segment_size') AS segment
        FROM pg_settings`,
    );
    const value = (name: string) => must(row?.[name], `the query gives ${name}`);
    const end = recordsEnd(
      parseLsn(value('lsn')),
      BigInt(value('block')),
      BigInt(value('segment')),
    );
    // Only flushed WAL is streamed. What no commit follows, such as the hints that a read has left
    // on its pages, waits up to 15 s where nobody writes, and whoever waits for it as long.
    if (parseLsn(value('flushed')) < end) await this.query(FLUSH_WAL);
    return end;
  }

  async runningTransactions(): Promise<RunningTransactions> {
    // The statement's time is that of its arrival, before it looks. Each transaction holds a lock on
    // its own id until its commit is written; who looks at those needs no right, unlike at activity.
    const rows = await this.query(
      `SELECT extract(epoch FROM statement_timestamp()) * 1000 AS at,
          array_to_string(array(
            SELECT transactionid FROM pg_locks
            WHERE locktype = 'transactionid' AND granted AND mode = 'ExclusiveLock'
          ), ',') AS ids`,
    );
    const row = must(rows[0], 'a SELECT without FROM gives one row');
    const ids = must(row['ids'], 'an array has a text');
    return { atMs: Math.floor(Number(row['at'])), ids: ids === '' ? [] : ids.split(',') };
  }

  async execute(sql: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#executor?.isOpen !== true) this.#executor = await PostgresClient.connect(this.#facts);
    const executor = this.#executor;
    const leave = () => void executor[Symbol.asyncDispose]();
    signal.addEventListener('abort', leave, { once: true });
    try {
      signal.throwIfAborted();
      await executor.query(sql);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  async follow(options: FollowOptions, signal: AbortSignal): Promise<PostgresWalStream> {
    try {
      return await PostgresWalStream.open(this.#facts, options, signal);
    } catch (error) {
      // The server's message for a slot whose WAL is gone depends on version and language.
      const isRefusal = error instanceof MillraceError && error.code === 'source_not_ready';
      if (isRefusal && (await this.slot(options.slot))?.walStatus === 'lost') {
        throw new MillraceError('slot_lost', { slot: options.slot }, error);
      }
      throw error;
    }
  }

  /** Transactions that a slot under creation waits for, oldest first. */
  blockers(): Promise<readonly Blocker[]> {
    return readBlockers(this.query);
  }

  /** Any SQL, on the connection that questions share; values come as text. */
  readonly query: TextQuery = async (sql, parameters) => {
    const client = await this.#connected();
    return client.query(sql, parameters);
  };

  async [Symbol.asyncDispose](): Promise<void> {
    // A connection that never opened needs no end.
    const client = await this.#client.catch(() => undefined);
    await client?.[Symbol.asyncDispose]();
    await this.#executor?.[Symbol.asyncDispose]();
  }

  #connected(): Promise<PostgresClient> {
    const reconnect = () => PostgresClient.connect(this.#facts);
    this.#client = this.#client.then((client) => (client.isOpen ? client : reconnect()), reconnect);
    return this.#client;
  }

  async #createSlot(
    connection: pg.Client,
    name: string,
    temporary: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Readonly<{ consistentPoint: Lsn; snapshotName: string }>> {
    const { server_version_num: version } = must(
      (await connection.query<Record<string, string>>('SHOW server_version_num')).rows[0],
      'SHOW gives one row',
    );
    const exporting = Number(version) < 150000 ? 'EXPORT_SNAPSHOT' : `(SNAPSHOT 'export')`;
    // A walsender that waits for a transaction does not notice that its client has gone.
    const pid = must(
      (await connection.query<Record<string, string>>('SELECT pg_backend_pid() AS pid')).rows[0],
      'a SELECT without FROM gives one row',
    )['pid'];
    signal?.throwIfAborted();
    const cancel = () =>
      void this.query('SELECT pg_terminate_backend($1)', [pid]).catch(() => undefined);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      const { rows } = await connection.query<Record<string, string>>(
        `CREATE_REPLICATION_SLOT ${pg.escapeIdentifier(name)}${temporary ? ' TEMPORARY' : ''} ` +
          `LOGICAL pgoutput ${exporting}`,
      );
      const slot = must(rows[0], 'CREATE_REPLICATION_SLOT gives one row');
      return {
        consistentPoint: parseLsn(must(slot['consistent_point'], 'a logical slot has one')),
        snapshotName: must(slot['snapshot_name'], 'the snapshot was asked for'),
      };
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }
}

const PAGE_HEADER_BYTES = 24n;
const SEGMENT_HEADER_BYTES = 40n;

/**
 * Where the last record ends. When that is the end of a page, the insert position already lies
 * behind the next page's header, and a stream that waits to pass it waits for the next write.
 */
function recordsEnd(insert: Lsn, blockBytes: bigint, segmentBytes: bigint): Lsn {
  const isSegmentStart = insert % segmentBytes === SEGMENT_HEADER_BYTES;
  if (isSegmentStart) return (insert - SEGMENT_HEADER_BYTES) as Lsn;
  const isPageStart = insert % blockBytes === PAGE_HEADER_BYTES;
  return isPageStart ? ((insert - PAGE_HEADER_BYTES) as Lsn) : insert;
}
