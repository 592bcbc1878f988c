import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { temporaryPostgres, type TemporaryPostgres } from '../test/postgres.ts';
import type { Figures } from './main.ts';
import { findPeer } from './peer.ts';
import { runCosting } from './process-cost.ts';
import { createTable, dropSlot, insertRows } from './source.ts';
import { median } from './statistics.ts';

const ROWS = 1_000_000;
const ROUNDS = 3;

/** The first copy into the durable log, against the server's own COPY into a file. */
export async function benchCopy(): Promise<Figures> {
  const peer = findPeer('psql', 'postgresql-client');
  await using server = await temporaryPostgres({ isNew: true });
  await createTable(server);
  const end = await insertRows(server, ROWS, 100_000);
  const theirs: number[] = [];
  const ours: { rowsPerS: number; cpuUs: number; privateMb: number }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    theirs.push(await copyByPeer(server, peer.path));
    ours.push(await copyByUs(server, `copy_${round}`, end));
  }
  return {
    rows_per_s: Math.round(median(ours.map(({ rowsPerS }) => rowsPerS))),
    peer_rows_per_s: Math.round(median(theirs)),
    ratio:
      Math.round(
        median(ours.map(({ rowsPerS }, round) => rowsPerS / (theirs[round] ?? Number.NaN))) * 100,
      ) / 100,
    cpu_us_per_change: Math.round(median(ours.map(({ cpuUs }) => cpuUs)) * 100) / 100,
    peak_private_mb: Math.round(Math.max(...ours.map(({ privateMb }) => privateMb))),
  };
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

async function copyByUs(server: TemporaryPostgres, slot: string, end: string) {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const child = new URL('capture-child.ts', import.meta.url).pathname;
  const { stdout, peakPrivateMb } = await runCosting(process.execPath, [
    child,
    JSON.stringify(server),
    folder,
    slot,
    end,
  ]);
  const { seconds, changes, cpuUs } = JSON.parse(stdout) as {
    seconds: number;
    changes: number;
    cpuUs: number;
  };
  if (changes !== ROWS) throw new Error(`the log holds ${changes} rows, expected ${ROWS}`);
  await rm(folder, { recursive: true });
  await dropSlot(server, slot);
  return { rowsPerS: changes / seconds, cpuUs: cpuUs / changes, privateMb: peakPrivateMb };
}
