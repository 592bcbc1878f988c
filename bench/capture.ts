import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { temporaryPostgres, type TemporaryPostgres } from '../test/postgres.ts';
import { captureRun } from './capture-run.ts';
import { compared, type Figures, type Run } from './figures.ts';
import { findPeer } from './peer.ts';
import { runCosting } from './process-cost.ts';
import { createSlots, createTable, dropSlot, insertRows } from './source.ts';

const ROWS = 1_000_000;
const ROUNDS = 3;

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
  const theirs: number[] = [];
  const ours: Run[] = [];
  for (const round of rounds) {
    theirs.push(await drainByPeer(server, peer, `peer_${round}`, end));
    ours.push(await captureRun(server, `ours_${round}`, end, ROWS, 'adopt'));
    await dropSlot(server, `ours_${round}`);
  }
  return compared(ours, theirs);
}

async function drainByPeer(
  server: TemporaryPostgres,
  peer: string,
  slot: string,
  end: string,
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const file = join(folder, 'wal');
  const { host, port, user, database, password } = server;
  const { seconds } = await runCosting(
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
  return ROWS / seconds;
}
