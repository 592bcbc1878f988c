/** Waits for `promise`, but not longer than `ms`: then goes on without it. */
export async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const passed = Promise.withResolvers<void>();
  const timer = setTimeout(passed.resolve, ms);
  try {
    await Promise.race([promise, passed.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Rejects at once when `signal` aborts, whatever becomes of `promise`. */
export async function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
