import { systemClock } from '../lib/clock.ts';
import type { ChangeSource } from '../ports/change-source.ts';
import type { PassedTime } from './passed-time.ts';

const EVERY_MS = 1000;

/** Looks at the source now and then, so that time passes where nobody writes. */
export class ProgressProbe {
  readonly #source: ChangeSource;
  readonly #time: PassedTime;
  readonly #isDue: () => boolean;

  /** `isDue`: false while the answer would be of no use. */
  constructor(parts: { source: ChangeSource; time: PassedTime; isDue: () => boolean }) {
    this.#source = parts.source;
    this.#time = parts.time;
    this.#isDue = parts.isDue;
  }

  /** Ends when `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // A source that is away ends the stream, which tells it; that it can't answer costs only time.
      if (this.#isDue() && this.#time.wantsLook) await this.#look().catch(() => undefined);
      await systemClock.sleep(EVERY_MS, signal);
    }
  }

  async #look(): Promise<void> {
    const running = await this.#source.runningTransactions();
    this.#time.looked(running, await this.#source.walInsertLsn());
  }
}
