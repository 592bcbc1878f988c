import { MillraceError } from '../../domain/errors.ts';
import type { Clock } from '../../lib/clock.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import { compact, type CompactionStep, isCompactionDue } from './compaction.ts';
import type { Lake } from './lake.ts';

export type LakeUpkeepOptions = Readonly<{
  lake: Lake;
  /** Opened when there is something to do, and closed after it: in between it would hold memory for nothing. */
  openEngine: () => Promise<SqlEngine>;
  clock: Clock;
  /** From the end of one round to the next. */
  everyMs: number;
  retentionMs: number;
  onStep: (step: CompactionStep) => void;
}>;

/** Compacts a lake now and then, as its policy says; nothing of it is lost or changed for readers. */
export class LakeUpkeep {
  readonly #options: LakeUpkeepOptions;

  constructor(options: LakeUpkeepOptions) {
    this.#options = options;
  }

  /** Ends when `signal` aborts; throws when a round fails, and may then be run again. */
  async run(signal: AbortSignal): Promise<void> {
    const { lake, openEngine, clock, everyMs, retentionMs, onStep } = this.#options;
    for (;;) {
      await clock.sleep(everyMs, signal);
      if (signal.aborted) return;
      const options = { retentionMs, nowMs: clock.nowMs() };
      try {
        if (!(await isCompactionDue(lake, options))) continue;
        await using engine = await openEngine();
        await compact(lake, engine, options, onStep, signal);
      } catch (error) {
        if (signal.aborted) return;
        // Somebody else is at it: just as well.
        if (!(error instanceof MillraceError && error.code === 'lake_busy')) throw error;
      }
    }
  }
}
