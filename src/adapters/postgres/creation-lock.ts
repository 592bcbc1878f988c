import type { PostgresClient } from './client.ts';

/** Of all that Millrace locks in a database: "millrace" in ASCII. */
const LOCK = '7883949433926050661';

/**
 * One at a time in a database: `IF NOT EXISTS` alone fails where two create the same at once.
 *
 * The lock is the session's, not a transaction's: who waits for it within a transaction goes on to
 * believe that the schema, which it has looked for before, is not there.
 */
export async function whileCreating<T>(client: PostgresClient, work: () => Promise<T>): Promise<T> {
  await client.query(`SELECT pg_advisory_lock(${LOCK})`);
  try {
    return await work();
  } finally {
    await client.query(`SELECT pg_advisory_unlock(${LOCK})`);
  }
}
