/*
 * One Int32 a slot. Names share slots by hash: a collision costs a look in vain, never a missed ring.
 */
const SLOTS = 256;

// Longer than any process lives; the timer only keeps the process from ending while someone waits.
const FAR_MS = 2 ** 31 - 1;

/**
 * Wakes waiters in every thread of the process that shares the memory, without polling.
 *
 * Use: `seen = bell.count(name)`, look for what you wait for, and when it is not there
 * `await bell.heard(name, seen, signal)`, then look again. A ring between the two is not missed.
 * A waiter may be woken for nothing.
 */
export class Bell implements Disposable {
  readonly #counters: Int32Array<SharedArrayBuffer>;
  readonly #waiting = new Map<number, Set<() => void>>();
  readonly #listening = new Set<number>();
  readonly #keepAlive: NodeJS.Timeout;
  #waiters = 0;

  constructor(shared = Bell.memory()) {
    this.#counters = new Int32Array(shared);
    this.#keepAlive = setInterval(() => {}, FAR_MS).unref();
  }

  /** What threads share to hear one another. */
  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(SLOTS * Int32Array.BYTES_PER_ELEMENT);
  }

  count(name: string): number {
    return Atomics.load(this.#counters, this.#slotOf(name));
  }

  ring(name: string): void {
    const slot = this.#slotOf(name);
    Atomics.add(this.#counters, slot, 1);
    Atomics.notify(this.#counters, slot);
  }

  /**
   * Resolves once the bell has rung since `seen`, or when `signal` aborts. Keeps the process alive
   * meanwhile, unless `idly`.
   */
  heard(name: string, seen: number, signal: AbortSignal, idly = false): Promise<void> {
    const slot = this.#slotOf(name);
    if (signal.aborted || Atomics.load(this.#counters, slot) !== seen) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(slot) ?? new Set();
      this.#waiting.set(slot, waiting);
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        waiting.delete(wake);
        if (!idly) this.#keepAliveFor(-1);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener('abort', wake);
      if (!idly) this.#keepAliveFor(1);
      this.#listen(slot, seen);
    });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#keepAlive);
    // Frees this object's pending waits; others that are woken look again.
    for (const slot of this.#listening) Atomics.notify(this.#counters, slot);
  }

  // A wait on shared memory cannot be cancelled, so each slot has at most one, and aborted waiters
  // leave only our own set.
  #listen(slot: number, seen: number): void {
    if (this.#listening.has(slot)) return;
    const wait = Atomics.waitAsync(this.#counters, slot, seen);
    if (!wait.async) return this.#wakeAll(slot);
    this.#listening.add(slot);
    void wait.value.then(() => {
      this.#listening.delete(slot);
      this.#wakeAll(slot);
    });
  }

  #keepAliveFor(more: 1 | -1): void {
    this.#waiters += more;
    if (this.#waiters === 0) this.#keepAlive.unref();
    else this.#keepAlive.ref();
  }

  #wakeAll(slot: number): void {
    for (const wake of this.#waiting.get(slot) ?? []) wake();
  }

  #slotOf(name: string): number {
    let hash = 0;
    for (let index = 0; index < name.length; index += 1) {
      hash = (Math.imul(hash, 31) + name.charCodeAt(index)) | 0;
    }
    return (hash >>> 0) % this.#counters.length;
  }
}
