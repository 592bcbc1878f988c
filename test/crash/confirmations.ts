import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, createReadStream, openSync } from 'node:fs';
import { mkdir, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { PostgresClient } from '../../src/adapters/postgres/client.ts';
import { lastHolder, placesIn } from '../../src/app/config/data-directory.ts';
import { temporaryFolder, temporaryPostgres, type TemporaryPostgres } from '../postgres.ts';
import { ConfirmationTrace, type TraceFigures } from './confirmation-trace.ts';
import { MAIN, ownEnvironment } from './millrace-process.ts';
import { sendKill } from './server.ts';

const SLOT = 'confirmations';
const TRANSACTIONS = 40;
/** The first of them may be older than the slot. */
const LEAST_CONFIRMATIONS = 30;
const PATIENCE_MS = 60_000;
const TRACED = 'openat,fdatasync,pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg';

/**
 * Traces a `millrace capture` through a first copy and some transactions, each of which waits for
 * its confirmation; throws when one came too early, else returns what the trace shows. A kill can't prove that data was flushed:
 * the system's cache outlives the process.
 */
export async function traceConfirmations(): Promise<TraceFigures> {
  const folder = await realpath(await temporaryFolder('millrace-trace-'));
  const dataDir = join(folder, 'data');
  const file = join(folder, 'trace');
  await using server = await temporaryPostgres();
  await using client = await PostgresClient.connect(server);
  await client.query('create table a (id serial primary key, n int)');
  await client.query('insert into a (n) select i from generate_series(1, 1000) i');
  await mkdir(dataDir);
  const connectorFile = join(folder, 'connector.json');
  await writeFile(connectorFile, connectorText(server));
  const printed = join(folder, 'printed.log');
  const out = openSync(printed, 'w');
  const strace = spawn(
    'strace',
    `-f -y -x -s 8192 -e trace=${TRACED} -e signal=none -o`
      .split(' ')
      .concat(file, process.execPath, MAIN)
      .concat('capture', '--connector', connectorFile, '--data-dir', dataDir),
    { cwd: folder, env: ownEnvironment(), stdio: ['ignore', out, out] },
  );
  closeSync(out);
  const ended = once(strace, 'exit').catch((error: unknown) => {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? new Error('strace is needed to see the confirmations: install the package strace')
      : error;
  });
  // strace keeps signals to itself, and leaves its child behind when it is killed.
  const capture = (): number | undefined => lastHolder(dataDir)?.pid;
  try {
    const confirming = confirmAll(client);
    await Promise.race([
      confirming,
      ended.then(() => {
        throw new Error(`the traced capture has ended; what was printed is in ${printed}`);
      }),
    ]);
    const pid = capture();
    if (pid !== undefined) process.kill(pid, 'SIGINT');
    await ended;
  } catch (error) {
    const pid = capture();
    if (pid !== undefined) sendKill(pid);
    throw error;
  }
  const trace = new ConfirmationTrace(`${placesIn(dataDir).log}/`);
  for await (const line of createInterface({ input: createReadStream(file, 'latin1') }))
    trace.line(line);
  const figures = trace.figures();
  if (figures.confirmations < LEAST_CONFIRMATIONS || figures.problems.length > 0)
    throw new Error(
      `${figures.confirmations} confirmations, of them too early: ${figures.problems.join('; ') || 'none'}; see ${file}`,
    );
  await rm(folder, { recursive: true, force: true });
  return figures;
}

/** Transactions, one after the other, each until the server knows that it is durable. */
async function confirmAll(client: PostgresClient): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (let transaction = 0; transaction < TRANSACTIONS; transaction += 1) {
    const [row] = await client.query(
      'insert into a (n) values (0) returning pg_current_wal_insert_lsn() as at',
    );
    const sql = `select from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn > $2::pg_lsn`;
    while ((await client.query(sql, [SLOT, row?.['at']])).length === 0) {
      if (performance.now() > deadlineMs)
        throw new Error(`transaction ${transaction} was not confirmed within ${PATIENCE_MS} ms`);
      await wait(5);
    }
  }
}

function connectorText({ host, port, user, password, database }: TemporaryPostgres): string {
  return JSON.stringify({
    name: SLOT,
    config: {
      'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
      'database.hostname': host,
      'database.port': String(port),
      'database.user': user,
      'database.password': password,
      'database.dbname': database,
      'topic.prefix': 'trace',
      'slot.name': SLOT,
      'decimal.handling.mode': 'string',
      'time.precision.mode': 'isostring',
    },
  });
}
