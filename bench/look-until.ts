import { setTimeout as wait } from 'node:timers/promises';

const LOOK_EVERY_MS = 2;
const PATIENCE_MS = 300_000;

/** Looks until it is so; throws when it is not within five minutes. */
export async function lookUntil(
  what: string,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
    await wait(LOOK_EVERY_MS);
  }
}
