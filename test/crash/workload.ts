import { setTimeout as wait } from 'node:timers/promises';
import { PostgresClient, type TextQuery } from '../../src/adapters/postgres/client.ts';
import type { ConnectionFacts } from '../../src/adapters/postgres/connection.ts';
import { MillraceError } from '../../src/domain/errors.ts';
import { must } from '../../src/lib/must.ts';
import { seededRandom } from '../random.ts';

const RECONNECT_MS = 25;
/** What may happen to statements of sessions that change the same rows, or when their server is killed. */
const EXPECTED_STATES = new Set(['40P01', '23505', '57P01', '57P02', '57P03', '08006', '25P02']);

type Random = (below: number) => number;
type Step = (query: TextQuery, random: Random) => Promise<unknown>;

const insertRows: Step = (query, random) =>
  query(
    `insert into crash_rows (n, note)
     select i, repeat(md5(i::text), ${random(10) === 0 ? 200 : 3}) from generate_series(1, ${1 + random(20)}) i`,
  );
const updateRows: Step = (query, random) =>
  query(`update crash_rows set n = n + 1 where id % 1009 = ${random(1009)}`);
const deleteRows: Step = (query, random) =>
  query(`delete from crash_rows where id % 2003 = ${random(2003)}`);
const changeKeys: Step = (query, random) =>
  query(
    `update crash_rows set id = nextval('crash_rows_id_seq') where id % 4001 = ${random(4001)}`,
  );
const deleteAndInsertAgain: Step = async (query, random) => {
  const [row] = await query(
    `delete from crash_pairs where (a, b) in
       (select a, b from crash_pairs where a = ${random(100)} order by b limit 1) returning a, b, n`,
  );
  if (row !== undefined)
    await query('insert into crash_pairs values ($1, $2, $3::int + 1)', [
      row['a'],
      row['b'],
      row['n'],
    ]);
};
const changePairs: Step = (query, random) =>
  query(
    `update crash_pairs set n = n + 1 where a = ${random(100)} and n % 3 = ${random(3)} and ascii(b) % 5 = 0`,
  );
const insertPairs: Step = (query, random) =>
  query(
    `insert into crash_pairs
     select ${random(100)}, '${random(1e9)}-' || i, 0 from generate_series(1, ${1 + random(5)}) i`,
  );
const moveOnePair: Step = (query, random) =>
  query(`update crash_pairs set a = a + 1000 where (a, b) in
           (select a, b from crash_pairs where a = ${random(100)} order by b desc limit 2)`);
const rollBackASavepoint: Step = async (query, random) => {
  await query('savepoint s');
  await deleteRows(query, random);
  await insertRows(query, random);
  await query('rollback to savepoint s');
  await updateRows(query, random);
};
const keepASavepoint: Step = async (query, random) => {
  await query('savepoint s');
  await updateRows(query, random);
  await query('release savepoint s');
};
/**
 * PostgreSQL (18.4) makes slots that it can't read when a truncate was committed meanwhile: its own
 * pg_logical_slot_peek_binary_changes then fails too, with "could not map filenumber … to relation OID".
 */
const hasSlot = async (query: TextQuery): Promise<boolean> =>
  (await query('select from pg_replication_slots where confirmed_flush_lsn is not null')).length >
  0;
const useAndTruncate: Step = async (query, random) => {
  await query(`insert into crash_truncated (n) select i from generate_series(1, ${random(10)}) i`);
  await query(`update crash_truncated set n = n + 1 where id % 3 = ${random(3)}`);
  if (random(4) === 0 && (await hasSlot(query))) await query('truncate crash_truncated');
  await query(`insert into crash_truncated (n) values (0)`);
};
/** More than one batch of the log: a crash may come between two parts of it. */
const changeMany: Step = (query) => query('update crash_rows set n = n + 1 where id % 3 > 0');

const STEPS: readonly Step[] = [
  insertRows,
  insertRows,
  updateRows,
  updateRows,
  deleteRows,
  changeKeys,
  deleteAndInsertAgain,
  changePairs,
  insertPairs,
  moveOnePair,
  rollBackASavepoint,
  keepASavepoint,
  useAndTruncate,
];
const A_LARGE_ONE_IN = 150;

export type WorkloadOptions = Readonly<{
  seed: number;
  /** Asked before each connection: a server that was started again may have another port. */
  facts: () => Promise<ConnectionFacts>;
}>;

/**
 * Changes the crash tables in transactions of one to five steps, some of which are rolled back,
 * until `signal` aborts. A lost connection is made anew; whether the transaction that it was lost
 * in took place does not matter, as the tables are the truth. Returns how many were committed.
 */
export async function runWorkload(
  { seed, facts }: WorkloadOptions,
  signal: AbortSignal,
): Promise<number> {
  const next = seededRandom(seed);
  const random: Random = (below) => Math.floor(next() * below);
  let committed = 0;
  while (!signal.aborted) {
    try {
      await using client = await PostgresClient.connect(await facts());
      while (!signal.aborted && client.isOpen) {
        if (await runTransaction(client, random)) committed += 1;
        await wait(random(8));
      }
    } catch (error) {
      if (!isExpected(error)) throw error;
      await wait(RECONNECT_MS);
    }
  }
  return committed;
}

/** Whether it was committed. */
async function runTransaction(client: PostgresClient, random: Random): Promise<boolean> {
  const isGivenUp = random(12) === 0;
  const givenUp = new Error('rolled back on purpose');
  try {
    await client.transaction(async (query) => {
      if (random(A_LARGE_ONE_IN) === 0) await changeMany(query, random);
      for (let left = 1 + random(5); left > 0; left -= 1)
        await must(STEPS[random(STEPS.length)], 'below their number')(query, random);
      if (isGivenUp) throw givenUp;
    });
    return true;
  } catch (error) {
    if (error !== givenUp && !(isExpected(error) && client.isOpen)) throw error;
    return false;
  }
}

export function isExpected(error: unknown): boolean {
  if (error instanceof MillraceError) return error.code === 'source_unreachable';
  return error instanceof Error && 'code' in error && EXPECTED_STATES.has(String(error.code));
}
