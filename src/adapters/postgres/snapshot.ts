import pg from 'pg';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import type { CopyStream, Snapshot, Table } from '../../ports/change-source.ts';
import { readTable } from './catalogue.ts';
import type { TextQuery } from './client.ts';
import { openConnection, sourceError } from './connection.ts';
import type { ConnectionFacts } from './connection.ts';
import { copyRows, copySql } from './copy.ts';
import type { CopyQuery } from './copy.ts';

/** No such table, column, schema or type, or a key of another type: the catalogue is no longer the snapshot's. */
const CHANGED = new Set(['42P01', '42703', '3F000', '42704', '42883', '42804']);

/**
 * A read-only transaction on a connection of its own. A copy that is left before its end ends the
 * snapshot with it.
 */
export class PostgresSnapshot implements Snapshot {
  readonly visible: string;
  readonly #facts: ConnectionFacts;
  readonly #connection: pg.Client;

  private constructor(facts: ConnectionFacts, connection: pg.Client, visible: string) {
    this.#facts = facts;
    this.#connection = connection;
    this.visible = visible;
  }

  /** Of now, or the one that another session exported under `exported`. */
  static async open(facts: ConnectionFacts, exported?: string): Promise<PostgresSnapshot> {
    const connection = await openConnection(facts);
    try {
      await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      if (exported !== undefined) {
        await connection.query(`SET TRANSACTION SNAPSHOT ${pg.escapeLiteral(exported)}`);
      }
      // A policy that hides rows must fail the copy; rows left out in silence would be lost.
      await connection.query('SET LOCAL row_security = off');
      const { rows } = await connection.query<{ visible: string }>(
        'SELECT pg_current_snapshot() AS visible',
      );
      const { visible } = must(rows[0], 'a SELECT without FROM gives one row');
      return new PostgresSnapshot(facts, connection, visible);
    } catch (error) {
      await connection.end().catch(() => undefined); // The first error says more.
      throw sourceError(error, facts, { purpose: 'take a snapshot' });
    }
  }

  /** One statement in the snapshot, so it must only read; not while a copy runs. */
  readonly query: TextQuery = async (sql, parameters = []) => {
    try {
      return (await this.#connection.query(sql, [...parameters])).rows;
    } catch (error) {
      throw sourceError(error, this.#facts, { purpose: 'read in the snapshot' });
    }
  };

  table(oid: number): Promise<Table | undefined> {
    return readTable(this.query, oid);
  }

  async *copy(query: CopyQuery, signal: AbortSignal): CopyStream {
    const { schema, name, oid } = query.table;
    // The snapshot outlives a copy that is refused.
    await this.query('SAVEPOINT before_copy');
    try {
      let isEmpty = true;
      for await (const chunk of copyRows(this.#connection, copySql(query), signal)) {
        isEmpty = false;
        yield chunk;
      }
      if (isEmpty && (await this.#isRewritten(oid)))
        throw new MillraceError('table_changed', { table: `${schema}.${name}` });
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof pg.DatabaseError && CHANGED.has(error.code ?? '')) {
        await this.query('ROLLBACK TO before_copy');
        throw new MillraceError('table_changed', { table: `${schema}.${name}` }, error);
      }
      throw sourceError(error, this.#facts, { purpose: `copy the table ${schema}.${name}` });
    }
  }

  /**
   * To a snapshot taken before, a table that TRUNCATE or ALTER TABLE has given a new file is empty; a
   * partitioned one has no file.
   * The catalogue's row is read as the snapshot sees it, the function tells what is so now.
   * https://www.postgresql.org/docs/current/mvcc-caveats.html
   */
  async #isRewritten(oid: number): Promise<boolean> {
    const [row] = await this.query(
      `SELECT relkind <> 'p' AND relfilenode IS DISTINCT FROM pg_relation_filenode(oid) AS is_so
        FROM pg_class WHERE oid = $1`,
      [oid],
    );
    return row?.['is_so'] === 't';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The server rolls back what the end of a connection leaves open.
    await this.#connection.end().catch(() => undefined);
  }
}
