import type { BatchStatus } from '../../domain/status.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Part } from '../compose.ts';

/** What became of a run. */
export type RunOutcome = NonNullable<BatchStatus['last']>;

export type BatchRunnerOptions = Readonly<{
  /** From start to start; a run that takes longer is followed by the next at once. */
  intervalMs: number;
  /** Makes the models, tests and serves them; what fails in a model is in the outcome, and thrown is what kept the run from being one. */
  runOnce: (signal: AbortSignal) => Promise<RunOutcome>;
  /** Resolves when there is something to work on. */
  ready?: (signal: AbortSignal) => Promise<void>;
  clock: Clock;
  onChange?: () => void;
}>;

/** Runs all models at an interval, one run at a time. */
export class BatchRunner implements Part {
  readonly name = 'batch';
  readonly #options: BatchRunnerOptions;
  #state: BatchStatus['state'] = 'waiting';
  #runs = 0;
  #failed = 0;
  #last: RunOutcome | undefined;
  #problem: string | undefined;

  constructor(options: BatchRunnerOptions) {
    this.#options = options;
  }

  /** A run that fails is told of, and does not end it: the next may do better. */
  async run(signal: AbortSignal): Promise<void> {
    const { ready, clock, intervalMs } = this.#options;
    try {
      await ready?.(signal);
      while (!signal.aborted) {
        const startedMs = clock.nowMs();
        await this.#runOnce(signal);
        const leftMs = intervalMs - (clock.nowMs() - startedMs);
        if (leftMs > 0) await clock.sleep(leftMs, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#become('stopped');
    }
  }

  status(): BatchStatus {
    return {
      component: 'batch',
      atMs: this.#options.clock.nowMs(),
      state: this.#state,
      runs: this.#runs,
      failed: this.#failed,
      ...(this.#last !== undefined && { last: this.#last }),
      ...(this.#problem !== undefined && { problem: this.#problem }),
    };
  }

  async #runOnce(signal: AbortSignal): Promise<void> {
    this.#become('running');
    try {
      this.#last = await this.#options.runOnce(signal);
      this.#problem = undefined;
      if (this.#last.failedModels.length + this.#last.errors > 0) this.#failed += 1;
    } catch (error) {
      if (signal.aborted) return;
      this.#problem = error instanceof Error ? error.message : String(error);
      this.#failed += 1;
    }
    this.#runs += 1;
    this.#become('waiting');
  }

  #become(state: BatchStatus['state']): void {
    this.#state = state;
    this.#options.onChange?.();
  }
}
