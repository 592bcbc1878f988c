import { rm } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { LmdbEventLog } from '../../src/adapters/lmdb/event-log.ts';
import { DataDirectory, placesIn } from '../../src/app/config/data-directory.ts';
import { verifyAnalytics } from './analytics.ts';
import { CaptureAlone } from './capture-alone.ts';
import type { RoundPlan } from './plan.ts';
import { verifyLake } from './lake-verification.ts';
import { runShop } from './shop-load.ts';
import type { Subject } from './subject.ts';
import { Up } from './up.ts';
import { rowsOf, verifyHistory } from './verification.ts';
import { runWorkload } from './workload.ts';
import { makeWorkplace, TABLES, type Workplace } from './workplace.ts';

const SESSIONS = 2;
const PATIENCE_MS = 60_000;
/** Nothing that a round wrote may go before it was looked at. */
const KEEP_ALL = { ms: 86_400_000, bytes: 2 ** 40 };
const SEGMENT_BYTES = 256 * 2 ** 20;

export type RoundResult = Readonly<{
  transactions: number;
  records: number;
  /** Those of the first copy that came after a crash in it. */
  copiedLate: number;
}>;

/** A failed round, whose files are kept. */
export class RoundFailure extends Error {
  override readonly name = 'RoundFailure';

  constructor(folder: string, cause: unknown) {
    super(`its data directory and what was printed are kept in ${folder}`, { cause });
  }
}

/**
 * Kills as planned, under load; then proves that nothing was lost, doubled or reordered within a
 * key in the log, and that the store equals the source. Throws a RoundFailure, after an abort too;
 * either way no process is left.
 */
export async function runRound(plan: RoundPlan, signal: AbortSignal): Promise<RoundResult> {
  const isEmbedded = plan.scenario !== 'capture alone';
  const place = await makeWorkplace(plan, isEmbedded);
  try {
    await using subject = isEmbedded ? new Up(place) : new CaptureAlone(place);
    const result = await Promise.race([proveRound(subject, plan, place), aborted(signal)]);
    await place.server.remove();
    await rm(place.folder, { recursive: true, force: true });
    return result;
  } catch (error) {
    await place.server.kill({ children: true });
    throw new RoundFailure(place.folder, error);
  }
}

async function proveRound(
  subject: Subject,
  plan: RoundPlan,
  place: Workplace,
): Promise<RoundResult> {
  const transactions = await killUnderLoad(subject, plan, place);
  await subject.settle();
  const rows = new Map(
    await Promise.all(
      TABLES.map(async (table) => [table, await rowsOf(place.server, table)] as const),
    ),
  );
  await subject.stop();
  using _held = await DataDirectory.open(place.dataDir, 'a crash test');
  await using log = await LmdbEventLog.open({
    dir: placesIn(place.dataDir).log,
    retention: KEEP_ALL,
    segmentBytes: SEGMENT_BYTES,
  });
  const result = { transactions, records: 0, copiedLate: 0 };
  for (const [table, expected] of rows) {
    const { records, copiedLate } = await verifyHistory(log, table, expected);
    result.records += records;
    result.copiedLate += copiedLate;
  }
  if (plan.scenario !== 'capture alone') await verifyLake(place, log, rows);
  // Capture alone has nobody to make anything of its records until the end.
  await verifyAnalytics(log, 'crashRows');
  return result;
}

/** Returns how many transactions changed our own tables. */
async function killUnderLoad(
  subject: Subject,
  { seed, scenario, kills }: RoundPlan,
  { server }: Workplace,
): Promise<number> {
  await subject.start();
  const quiet = new AbortController();
  const { facts } = server;
  const sessions = Array.from({ length: SESSIONS }, (_, at) =>
    runWorkload({ seed: seed + at, facts }, quiet.signal),
  );
  const shop =
    scenario === 'capture alone' ? runShop({ seed, facts }, quiet.signal) : Promise.resolve();
  const load = Promise.all([...sessions, shop]);
  load.catch(() => quiet.abort());
  try {
    for (const { since, afterMs, victim, restMs } of kills) {
      if (quiet.signal.aborted) break;
      await subject.until(since);
      await wait(afterMs);
      await subject.kill(victim);
      await wait(restMs);
      await subject.startAgain(victim);
    }
    await subject.until('stream');
    await untilMoreItems(server);
    await subject.reconcile();
  } finally {
    quiet.abort();
  }
  await load;
  return (await Promise.all(sessions)).reduce((sum, committed) => sum + committed, 0);
}

/** The kills may have left the shop no time for an order whose creation was captured. */
async function untilMoreItems(server: Workplace['server']): Promise<void> {
  const last = async (): Promise<number> => {
    const [row] = await server.query('select coalesce(max(id), 0) as id from order_items');
    return Number(row?.['id']);
  };
  const before = await last();
  const deadlineMs = performance.now() + PATIENCE_MS;
  while ((await last()) <= before) {
    if (performance.now() > deadlineMs) throw new Error('the shop made no order');
    await wait(50);
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  });
}
