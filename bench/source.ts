import { PostgresClient } from '../src/adapters/postgres/client.ts';
import type { TemporaryPostgres } from '../test/postgres.ts';
import { lookUntil } from './look-until.ts';

/** Rows of about 176 bytes, as in docs/benchmarks.md. */
const TABLE = `
  CREATE TABLE bench (
    id bigserial PRIMARY KEY, customer_id integer NOT NULL, amount numeric(10,2) NOT NULL,
    status varchar(50), address text, created_at timestamp DEFAULT now(), updated_at timestamp DEFAULT now()
  )`;

const ROW = `SELECT i % 10000, (i % 90000) * 0.01, 'pending', 'Flat ' || i || ', ' || repeat('Long Street, ', 7) || 'Springfield'`;

export async function createTable(server: TemporaryPostgres): Promise<void> {
  await using client = await PostgresClient.connect(server);
  await client.query(TABLE);
  await client.query(`CREATE PUBLICATION bench FOR TABLE bench`);
}

/** Inserts rows in transactions of `perTransaction`, and returns the LSN after the last. */
export async function insertRows(
  server: TemporaryPostgres,
  rows: number,
  perTransaction: number,
): Promise<string> {
  await using client = await PostgresClient.connect(server);
  for (let done = 0; done < rows; done += perTransaction)
    await client.query(
      `INSERT INTO bench (customer_id, amount, status, address) ${ROW} FROM generate_series(1, ${perTransaction}) i`,
    );
  // Ends the page, so that no reader waits for WAL that nobody writes.
  await client.query('CHECKPOINT');
  const [{ lsn } = {}] = await client.query('SELECT pg_current_wal_flush_lsn() AS lsn');
  return lsn ?? '';
}

/** One more row, in a transaction of its own. */
export async function insertRow(client: PostgresClient, n: number): Promise<void> {
  await client.query(
    `INSERT INTO bench (customer_id, amount, status, address) ${ROW} FROM (VALUES ($1::int)) AS one (i)`,
    [n],
  );
}

/** Of the row that was inserted last. */
export async function lastId(client: PostgresClient): Promise<number> {
  const [{ id } = {}] = await client.query('SELECT max(id) AS id FROM bench');
  return Number(id);
}

/** Whether the server is streaming the slot to someone. */
export async function slotIsActive(client: PostgresClient, slot: string): Promise<boolean> {
  const [{ active } = {}] = await client.query(
    'SELECT active FROM pg_replication_slots WHERE slot_name = $1',
    [slot],
  );
  return active === 't';
}

export async function createSlots(
  server: TemporaryPostgres,
  names: readonly string[],
): Promise<void> {
  await using client = await PostgresClient.connect(server);
  for (const name of names)
    await client.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, [name]);
}

/** Once the server has noticed that nobody reads it any more. */
export async function dropSlot(server: TemporaryPostgres, name: string): Promise<void> {
  await using client = await PostgresClient.connect(server);
  await lookUntil(`slot ${name} is left`, async () => !(await slotIsActive(client, name)));
  await client.query('SELECT pg_drop_replication_slot($1)', [name]);
}
