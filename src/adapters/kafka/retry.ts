import { setTimeout as sleep } from 'node:timers/promises';
import { type Backoff, backoffMs } from '../../lib/backoff.ts';
import { isPassing, logError } from './errors.ts';
import { unlessAborted } from './within.ts';

/** Long enough for a broker that is started again, or for another to take over its partitions. */
const PATIENCE_MS = 12_000;
const BACKOFF: Backoff = { baseMs: 10, maxMs: 500 };

export type RetryOptions = Readonly<{
  /** For the error: what was asked for. */
  facts: Record<string, unknown>;
  /** Ends it at once. */
  signal?: AbortSignal;
  patienceMs?: number;
  backoff?: Backoff;
  /** Called before each repetition: what was known of the cluster may be out of date. */
  forget?: () => void;
}>;

/** Tries until it works, fails for good, or patience is at its end; then throws a named failure. */
export async function retried<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { facts, signal, patienceMs = PATIENCE_MS, backoff = BACKOFF, forget } = options;
  const until = performance.now() + patienceMs;
  for (let failures = 1; ; failures += 1) {
    try {
      return await (signal === undefined ? attempt() : unlessAborted(signal, attempt()));
    } catch (error) {
      if (!isPassing(error) || performance.now() >= until || signal?.aborted) {
        throw logError(error, facts);
      }
      forget?.();
    }
    await sleep(backoffMs(failures, Math.random, backoff), undefined, { signal }).catch(() => {});
  }
}
