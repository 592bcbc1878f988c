import { systemClock } from '../../lib/clock.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import type { Part } from '../compose.ts';

const EVERY_MS = 30_000;

/** Removes what nobody can read any more: records past their retention, keys past their expiry. */
export function housekeeping(log: EventLog, store: Store): Part {
  return {
    name: 'housekeeping',
    async run(signal) {
      while (!signal.aborted) {
        await log.applyRetention();
        while (!signal.aborted && (await store.sweep(systemClock.nowMs())) > 0);
        await systemClock.sleep(EVERY_MS, signal);
      }
    },
  };
}
