import pg from 'pg';
import { must } from '../../lib/must.ts';
import type { CopyStream, Snapshot, Table } from '../../ports/change-source.ts';
import { readTable } from './catalogue.ts';
import type { TextQuery } from './client.ts';
import { openConnection, sourceError } from './connection.ts';
import type { ConnectionFacts } from './connection.ts';
import { copyRows, copySql } from './copy.ts';
import type { CopyQuery } from './copy.ts';

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
    try {
      yield* copyRows(this.#connection, copySql(query), signal);
    } catch (error) {
      const { schema, name } = query.table;
      const purpose = `copy the table ${schema}.${name}`;
      throw signal.aborted ? error : sourceError(error, this.#facts, { purpose });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The server rolls back what the end of a connection leaves open.
    await this.#connection.end().catch(() => undefined);
  }
}
