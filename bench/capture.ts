import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { temporaryPostgres, type TemporaryPostgres } from '../test/postgres.ts';
import type { Figures } from './main.ts';
import { findPeer } from './peer.ts';
import { runCosting } from './process-cost.ts';
import { createSlots, createTable, dropSlot, insertRows } from './source.ts';
import { median } from './statistics.ts';

const ROWS = 1_000_000;
const ROUNDS = 3;

type Drain = { rowsPerS: number; cpuUs: number; privateMb: number };

/**
 * The same WAL drained by pg_recvlogical into a file and by the native connector into the durable
 * log, in turn: once in transactions of 25,000 rows, once as one transaction of a million.
 */
export async function benchCapture(): Promise<Figures> {
  const peer = findPeer('pg_recvlogical', 'postgresql-client-15 (any version from 14)');
  const usual = await compare(peer.path, 25_000);
  const single = await compare(peer.path, ROWS);
  return {
    ...usual,
    ...Object.fromEntries(Object.entries(single).map(([name, value]) => [`one_tx_${name}`, value])),
  };
}

async function compare(peer: string, perTransaction: number): Promise<Figures> {
  await using server = await temporaryPostgres({ isNew: true });
  await createTable(server);
  const rounds = Array.from({ length: ROUNDS }, (_, round) => round);
  await createSlots(
    server,
    rounds.flatMap((round) => [`peer_${round}`, `ours_${round}`]),
  );
  const end = await insertRows(server, ROWS, perTransaction);
  const theirs: Drain[] = [];
  const ours: Drain[] = [];
  for (const round of rounds) {
    theirs.push(await drainByPeer(server, peer, `peer_${round}`, end));
    ours.push(await drainByUs(server, `ours_${round}`, end));
  }
  const rate = median(ours.map(({ rowsPerS }) => rowsPerS));
  return {
    rows_per_s: Math.round(rate),
    peer_rows_per_s: Math.round(median(theirs.map(({ rowsPerS }) => rowsPerS))),
    ratio: round2(
      median(ours.map(({ rowsPerS }, round) => rowsPerS / (theirs[round]?.rowsPerS ?? Number.NaN))),
    ),
    cpu_us_per_change: round2(median(ours.map(({ cpuUs }) => cpuUs))),
    peak_private_mb: Math.round(Math.max(...ours.map(({ privateMb }) => privateMb))),
  };
}

async function drainByPeer(
  server: TemporaryPostgres,
  peer: string,
  slot: string,
  end: string,
): Promise<Drain> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const file = join(folder, 'wal');
  const { host, port, user, database, password } = server;
  const { seconds, peakPrivateMb } = await runCosting(
    peer,
    [
      '--start',
      '--slot',
      slot,
      '--endpos',
      end,
      '--no-loop',
      '--file',
      file,
      '-h',
      host,
      '-p',
      String(port),
      '-U',
      user,
      '-d',
      database,
      '-o',
      'proto_version=1',
      '-o',
      'publication_names=bench',
    ],
    // oxlint-disable-next-line node/no-process-env -- a password belongs in no argument
    { env: { ...process.env, PGPASSWORD: password } },
  );
  const { size } = await stat(file);
  if (size < ROWS * 100)
    throw new Error(`${peer} wrote only ${size} bytes: it did not drain the slot`);
  await rm(folder, { recursive: true });
  await dropSlot(server, slot);
  return { rowsPerS: ROWS / seconds, cpuUs: 0, privateMb: peakPrivateMb };
}

async function drainByUs(server: TemporaryPostgres, slot: string, end: string): Promise<Drain> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const child = new URL('capture-child.ts', import.meta.url).pathname;
  const { stdout, peakPrivateMb } = await runCosting(process.execPath, [
    child,
    JSON.stringify(server),
    folder,
    slot,
    end,
    'adopt',
  ]);
  const { seconds, changes, cpuUs } = JSON.parse(stdout) as {
    seconds: number;
    changes: number;
    cpuUs: number;
  };
  if (changes !== ROWS) throw new Error(`the log holds ${changes} changes, expected ${ROWS}`);
  await rm(folder, { recursive: true });
  await dropSlot(server, slot);
  return { rowsPerS: changes / seconds, cpuUs: cpuUs / changes, privateMb: peakPrivateMb };
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
