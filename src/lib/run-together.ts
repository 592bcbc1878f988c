/**
 * Runs all until `signal` aborts or each has returned. The first that throws stops the others;
 * once they have ended, its error is thrown.
 */
export async function runTogether(
  signal: AbortSignal,
  runs: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const errors: unknown[] = [];
  await Promise.all(
    runs.map(async (run) => {
      try {
        await run(either);
      } catch (error) {
        errors.push(error);
        stop.abort();
      }
    }),
  );
  if (errors.length > 0) throw errors[0];
}
