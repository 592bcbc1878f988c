import { type Backoff, BACKOFF, backoffMs } from './backoff.ts';
import type { Clock } from './clock.ts';

/** What became of a supervised run; `stopped` and `failed` are the last. */
export type Supervised =
  | Readonly<{ state: 'running' }>
  /** Failed, and tried again after `delayMs`. */
  | Readonly<{ state: 'waiting'; error: unknown; attempt: number; delayMs: number }>
  | Readonly<{ state: 'stopped' }>
  | Readonly<{ state: 'failed'; error: unknown }>;

export type SuperviseOptions = Readonly<{
  signal: AbortSignal;
  /** The remedy of a failure: only `auto` is tried again. */
  retryOf: (error: unknown) => 'auto' | 'manual' | 'never';
  clock: Clock;
  /** Numbers in [0, 1), for the back-off's jitter. */
  random: () => number;
  backoff?: Backoff;
  onState?: (name: string, state: Supervised) => void;
}>;

/** A run that lasted this long had recovered: its next failure counts as a first one. */
const RECOVERED_AFTER_MS = 60_000;

/**
 * Runs `run` until it returns, `signal` aborts, or it fails for good; between failures that mend
 * themselves it waits, longer each time. Never rejects: the end is its result, so that one part
 * that fails for good leaves the others alone.
 */
export async function supervise(
  name: string,
  run: (signal: AbortSignal) => Promise<void>,
  { signal, retryOf, clock, random, backoff = BACKOFF, onState }: SuperviseOptions,
): Promise<Extract<Supervised, { state: 'stopped' | 'failed' }>> {
  for (let attempt = 1; !signal.aborted; attempt += 1) {
    onState?.(name, { state: 'running' });
    const startedMs = clock.nowMs();
    try {
      await run(signal);
      break;
    } catch (error) {
      if (retryOf(error) !== 'auto') {
        const failed = { state: 'failed', error } as const;
        onState?.(name, failed);
        return failed;
      }
      if (clock.nowMs() - startedMs >= RECOVERED_AFTER_MS) attempt = 1;
      const delayMs = backoffMs(attempt, random, backoff);
      onState?.(name, { state: 'waiting', error, attempt, delayMs });
      await clock.sleep(delayMs, signal);
    }
  }
  const stopped = { state: 'stopped' } as const;
  onState?.(name, stopped);
  return stopped;
}
