import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { CreatedSlot, PostgresSource } from '../../adapters/postgres/source.ts';

/** A temporary slot for its snapshot, and what keeps it from being created; disposing it drops it. */
export type SnapshotSlot = Readonly<{
  created: Promise<CreatedSlot>;
  /** Until it is created: now and then, the transactions that it waits for. */
  blockers: AsyncGenerator<string, void>;
}> &
  AsyncDisposable;

/** Creating a slot waits for every transaction that runs; those that take long are named meanwhile. */
export function createSnapshotSlot(
  source: PostgresSource,
  { nameBlockersAfterMs, clock }: Readonly<{ nameBlockersAfterMs: number; clock: () => number }>,
  signal: AbortSignal,
): SnapshotSlot {
  const name = `millrace_reconcile_${randomUUID().replaceAll('-', '').slice(0, 16)}`;
  const created = source.createSlot(name, { temporary: true, signal });
  const ended = created.then(
    () => true,
    () => true,
  );
  const blockers = async function* (): AsyncGenerator<string, void> {
    const startedMs = clock();
    for (;;) {
      const timer = new AbortController();
      const isCreated = await Promise.race([
        ended,
        wait(nameBlockersAfterMs, false, { signal: timer.signal }).catch(() => false),
      ]);
      timer.abort();
      if (isCreated) return;
      const waitedS = Math.round((clock() - startedMs) / 1000);
      for (const { pid, startedAt, query } of await source.blockers())
        yield `after ${waitedS} s still waiting for a transaction to end: pid ${pid ?? 'none (prepared)'}, begun ${startedAt ?? '?'}, ${query.slice(0, 200)}`;
    }
  };
  return {
    created,
    blockers: blockers(),
    async [Symbol.asyncDispose]() {
      // One that was never created has told why where it was awaited.
      await (await created.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  };
}
