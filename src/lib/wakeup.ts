/**
 * Lets one waiter sleep until there is something to do. `raise` wakes it; with nobody waiting, the
 * next `wait` returns at once, so a call between looking for work and waiting is not lost.
 */
export class Wakeup {
  #isRaised = false;
  #wake: (() => void) | undefined;

  raise(): void {
    this.#isRaised = true;
    this.#wake?.();
  }

  /** Returns when raised, or when `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (!this.#isRaised && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = (): void => resolve();
      this.#wake = wake;
      signal.addEventListener('abort', wake);
      await promise;
      signal.removeEventListener('abort', wake);
      this.#wake = undefined;
    }
    this.#isRaised = false;
  }
}
