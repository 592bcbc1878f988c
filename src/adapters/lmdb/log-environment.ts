import { closeSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { open, type RootDatabase } from 'lmdb';
import { MillraceError } from '../../domain/errors.ts';
import { throughGate } from './transaction-gate.ts';

export type LogKey = readonly (string | number)[];
/** Sorts after every string that a key holds. */
export const LAST_STRING = '\u{10ffff}';

export type LogDatabase = RootDatabase<Buffer, (string | number)[]>;

const TRIAL_BYTES = 1 << 20;

type Handle = { readonly db: LogDatabase; users: number };

// One handle a file and thread. Two would deadlock: opening the second starts a write transaction
// on this thread while the first's, on LMDB's own thread, waits for this thread's callback.
const handles = new Map<string, Handle>();

/**
 * Opens one LMDB file. A transaction is durable before its promise resolves and before readers see
 * it (`overlappingSync: false`). Checked by `strace -f -e trace=openat,pwrite64,fdatasync`: each
 * append is pwrite64 of its pages, fdatasync, then pwrite64 of the meta page, which makes it visible,
 * through a descriptor opened with O_DSYNC; the promise resolves after that.
 *
 * No `useWritemap`: 4 MB values gain nothing by it, and small commits took three times as long.
 */
export function openEnvironment(file: string, mapBytes: number): LogDatabase {
  const existing = handles.get(file);
  if (existing !== undefined) {
    existing.users += 1;
    return existing.db;
  }
  try {
    const db = open<Buffer, (string | number)[]>(file, {
      encoding: 'binary',
      mapSize: mapBytes,
      overlappingSync: false,
      noMemInit: true,
      // Its batches have a promise of their own, which nobody holds when a commit fails.
      eventTurnBatching: false,
    });
    handles.set(file, { db, users: 1 });
    return db;
  } catch (error) {
    throw asLogError(error, file);
  }
}

export async function closeEnvironment(file: string): Promise<void> {
  const handle = handles.get(file);
  if (handle === undefined) return;
  handle.users -= 1;
  if (handle.users > 0) return;
  handles.delete(file);
  await handle.db.close();
}

// Of this thread, over all files.
let underWay = 0;

/**
 * Runs a write transaction, on LMDB's thread when `aside`. While one of those is under way on this
 * thread, no other may block it: its lock is let go only after a callback on this thread.
 *
 * So no threads wait for each other in a circle. A thread waits, unable to run callbacks, only
 *  - to begin a small transaction, when it has none of the log's under way that others could need;
 *    of the store's it may have one, which only threads that hold no lock of the log wait for;
 *  - to open a segment, which is newer than all that it may hold a lock of;
 *  - to open the store or the log, before its first transaction.
 * Whoever writes to the store without `aside`, or opens it later, breaks this.
 */
export async function transact<T>(db: LogDatabase, body: () => T, aside: boolean): Promise<T> {
  if (!aside && underWay === 0) return throughGate(() => db.transactionSync(body));
  underWay += 1;
  try {
    return await db.childTransaction(() => throughGate(body));
  } finally {
    underWay -= 1;
  }
}

/** LMDB reports by message alone. `bytes`: what was to be written. */
export function asLogError(error: unknown, file: string, bytes = 0): unknown {
  if (error instanceof MillraceError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (
    /No space left|MDB_MAP_FULL|Disk quota exceeded|File too large/.test(message) ||
    (/Input\/output error/.test(message) && !hasRoomFor(file, bytes))
  ) {
    return new MillraceError('disk_full', { file }, error);
  }
  if (/MDB_(INVALID|CORRUPTED|PAGE_NOTFOUND|VERSION_MISMATCH)/.test(message)) {
    return new MillraceError('log_corrupt', { file, found: message }, error);
  }
  return error;
}

/**
 * Whether a file as long as this one could grow. LMDB calls it an input/output error when only the
 * first part of a page's bytes found room, so a trial tells a full disk from a broken one.
 */
function hasRoomFor(file: string, bytes: number): boolean {
  const trial = `${file}-trial`;
  let descriptor: number | undefined;
  try {
    descriptor = openSync(trial, 'w');
    const { size } = statSync(file);
    const end = size + bytes + TRIAL_BYTES;
    for (let at = size; at < end;) {
      at += writeSync(descriptor, Buffer.alloc(Math.min(TRIAL_BYTES, end - at)), 0, undefined, at);
    }
    return true;
  } catch {
    return false;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
    rmSync(trial, { force: true });
  }
}
