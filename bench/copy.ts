import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { temporaryPostgres, type TemporaryPostgres } from '../test/postgres.ts';
import { captureRun } from './capture-run.ts';
import { compared, type Figures, type Run } from './figures.ts';
import { findPeer } from './peer.ts';
import { runCosting } from './process-cost.ts';
import { createTable, dropSlot, insertRows } from './source.ts';

const ROWS = 1_000_000;
const ROUNDS = 3;

/** The first copy into the durable log, against the server's own COPY into a file. */
export async function benchCopy(): Promise<Figures> {
  const peer = findPeer('psql', 'postgresql-client');
  await using server = await temporaryPostgres({ isNew: true });
  await createTable(server);
  const end = await insertRows(server, ROWS, 100_000);
  const theirs: number[] = [];
  const ours: Run[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    theirs.push(await copyByPeer(server, peer.path));
    ours.push(await captureRun(server, `copy_${round}`, end, ROWS, 'copy'));
    await dropSlot(server, `copy_${round}`);
  }
  return compared(ours, theirs);
}

async function copyByPeer(server: TemporaryPostgres, peer: string): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const { host, port, user, database, password } = server;
  const { seconds } = await runCosting(
    peer,
    [
      '-X',
      '-q',
      '-h',
      host,
      '-p',
      String(port),
      '-U',
      user,
      '-d',
      database,
      '-o',
      join(folder, 'rows'),
      '-c',
      'COPY bench TO STDOUT',
    ],
    // oxlint-disable-next-line node/no-process-env -- a password belongs in no argument
    { env: { ...process.env, PGPASSWORD: password } },
  );
  await rm(folder, { recursive: true });
  return ROWS / seconds;
}
