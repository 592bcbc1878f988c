import type { Lsn } from '../domain/lsn.ts';
import type { RunningTransactions } from '../ports/change-source.ts';

/**
 * A transaction that has run for so long after a look was not about to commit then: between its
 * commit's time and its commit's record, a server process executes a few instructions.
 */
const COMMIT_PATIENCE_MS = 10_000;
/** Looks that wait for the log to catch up. */
const MAX_LOOKS = 64;

type Look = { readonly atMs: number; running: readonly string[] };
type Proof = Readonly<{ atMs: number; lsn: Lsn }>;

/**
 * Decides up to which commit time every change is in the log.
 *
 * A commit's time is taken before its record is written, so neither the server's clock nor the last
 * commit's time tells that no earlier one comes. But a transaction that has taken its time already
 * still runs, for whoever looks: once all that ran at a look have ended, every commit of before that
 * look lies before where WAL writing stands then. When the log holds all to there, the time has passed.
 */
export class PassedTime {
  #looks: Look[] = [];
  /** With times and positions that grow. */
  #proofs: Proof[] = [];
  #passedMs: number | undefined;

  /** False while looks wait in numbers for the log: another would tell nothing sooner. */
  get wantsLook(): boolean {
    return this.#looks.length + this.#proofs.length < MAX_LOOKS;
  }

  /** `insertLsn`: where WAL writing stood after the look. */
  looked({ atMs, ids }: RunningTransactions, insertLsn: Lsn): void {
    const left: Look[] = [];
    const now = new Set(ids);
    for (const look of [...this.#looks, { atMs, running: ids }]) {
      look.running = look.running.filter((id) => now.has(id));
      const hasPassed = look.running.length === 0 || atMs - look.atMs >= COMMIT_PATIENCE_MS;
      if (hasPassed) this.#proofs.push({ atMs: look.atMs, lsn: insertLsn });
      else left.push(look);
    }
    this.#looks = left;
  }

  /** `end`: all commits that end at or before it are in the log. */
  passedMs(end: Lsn): number | undefined {
    for (const { atMs, lsn } of this.#proofs)
      if (lsn <= end) this.#passedMs = Math.max(this.#passedMs ?? 0, atMs);
    this.#proofs = this.#proofs.filter(({ lsn }) => lsn > end);
    return this.#passedMs;
  }
}
