import { must } from './must.ts';

const MAX_WAITING = 16;

/** Ends when `signal` aborts, at the latest. */
export type Source<T> = (signal: AbortSignal) => AsyncIterable<T>;

/**
 * Yields what all sources yield, as it comes; each source's own order is kept. Sources may come
 * later too. Ends when no more come and all have ended, fails when one fails; the others are told
 * to stop by the signal they were given.
 */
export async function* merge<T>(
  sources: Source<Source<T>>,
  signal: AbortSignal,
): AsyncGenerator<T, void> {
  const stop = new AbortController();
  const stopping = AbortSignal.any([signal, stop.signal]);
  const waiting: T[] = [];
  let changed = Promise.withResolvers<void>();
  let roomMade = Promise.withResolvers<void>();
  let running = 0;
  let failure: { error: unknown } | undefined;
  const run = async (work: () => Promise<void>): Promise<void> => {
    running += 1;
    try {
      await work();
    } catch (error) {
      failure ??= { error };
    } finally {
      running -= 1;
      changed.resolve();
    }
  };
  const pump = async (source: Source<T>): Promise<void> => {
    for await (const value of source(stopping)) {
      waiting.push(value);
      changed.resolve();
      while (waiting.length >= MAX_WAITING && !stopping.aborted) await roomMade.promise;
      if (stopping.aborted) return;
    }
  };
  const pumps: Promise<void>[] = [];
  const starting = run(async () => {
    for await (const source of sources(stopping)) pumps.push(run(() => pump(source)));
  });
  const wakePumps = (): void => roomMade.resolve();
  stopping.addEventListener('abort', wakePumps);
  try {
    for (;;) {
      while (waiting.length > 0) {
        yield must(waiting.shift(), 'its length was checked');
        roomMade.resolve();
        roomMade = Promise.withResolvers();
      }
      if (failure !== undefined) throw failure.error;
      if (running === 0) return;
      await changed.promise;
      changed = Promise.withResolvers();
    }
  } finally {
    stop.abort();
    roomMade.resolve();
    await starting;
    await Promise.all(pumps);
  }
}
