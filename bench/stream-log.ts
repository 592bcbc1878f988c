import { LmdbEventLog } from '../src/adapters/lmdb/event-log.ts';

/** The log of the bench, of which nothing is removed. */
export function openLog(dir: string): Promise<LmdbEventLog> {
  return LmdbEventLog.open({ dir, retention: { ms: 365 * 86_400_000, bytes: 100 * 2 ** 30 } });
}
