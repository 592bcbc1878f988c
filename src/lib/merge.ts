import { must } from './must.ts';

const MAX_WAITING = 16;

/**
 * Yields what all sources yield, as it comes; each source's own order is kept. Ends when all have
 * ended, fails when one fails; the others are told to stop by the signal they were given.
 */
export async function* merge<T>(
  sources: readonly ((signal: AbortSignal) => AsyncIterable<T>)[],
  signal: AbortSignal,
): AsyncGenerator<T, void> {
  const stop = new AbortController();
  const stopping = AbortSignal.any([signal, stop.signal]);
  const waiting: T[] = [];
  let changed = Promise.withResolvers<void>();
  let roomMade = Promise.withResolvers<void>();
  let running = sources.length;
  let failure: { error: unknown } | undefined;
  const pump = async (source: (signal: AbortSignal) => AsyncIterable<T>): Promise<void> => {
    try {
      for await (const value of source(stopping)) {
        waiting.push(value);
        changed.resolve();
        while (waiting.length >= MAX_WAITING && !stopping.aborted) await roomMade.promise;
        if (stopping.aborted) return;
      }
    } catch (error) {
      failure ??= { error };
    } finally {
      running -= 1;
      changed.resolve();
    }
  };
  const pumps = sources.map(pump);
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
    await Promise.all(pumps);
  }
}
