import { setTimeout as sleep } from 'node:timers/promises';

/** The furthest behind that is caught up with; what is older is let go. */
const MAX_BEHIND_MS = 250;
const BEHIND_MS = 20;

/** Holds back whoever asks, so that no more than `rate` rows a second are let through. */
export class Pacer {
  readonly #msPerRow: number;
  readonly #now: () => number;
  #nextMs: number;

  constructor(rate: number | undefined, now = (): number => performance.now()) {
    this.#msPerRow = rate === undefined ? 0 : 1000 / rate;
    this.#now = now;
    this.#nextMs = now();
  }

  /** Whether rows go more slowly than they may. */
  get isBehind(): boolean {
    return this.#msPerRow > 0 && this.#now() - this.#nextMs > BEHIND_MS;
  }

  /** Resolves when these rows may go. */
  async pass(rows: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#now();
    const startMs = Math.max(this.#nextMs, nowMs - MAX_BEHIND_MS);
    this.#nextMs = startMs + rows * this.#msPerRow;
    if (startMs > nowMs) await sleep(startMs - nowMs, undefined, { signal });
  }
}
