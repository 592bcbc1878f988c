import { remedyFor } from '../domain/errors.ts';
import { Wakeup } from '../lib/wakeup.ts';

type Order = Readonly<{
  topics: readonly string[];
  resolve: () => void;
  reject: (reason: unknown) => void;
}>;

/** Copies that operators ask for, until a session takes them up. */
export class CopyOrders {
  readonly #waiting: Order[] = [];
  readonly #wakeup = new Wakeup();

  /** Settles as the order does, once it is obeyed. */
  add(topics: readonly string[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ topics, resolve, reject });
    this.#wakeup.raise();
    return promise;
  }

  /**
   * Has each order obeyed, one after the other, until `signal` aborts. What fails for the moment
   * is thrown, and its order waits for the next session; what fails for good is the order's alone.
   */
  async obey(obey: (topics: readonly string[]) => Promise<void>, signal: AbortSignal) {
    while (!signal.aborted) {
      const [order] = this.#waiting;
      if (order === undefined) {
        await this.#wakeup.wait(signal);
        continue;
      }
      try {
        await obey(order.topics);
        order.resolve();
      } catch (error) {
        if (signal.aborted) return;
        if (remedyFor(error).retry === 'auto') throw error;
        order.reject(error);
      }
      this.#waiting.shift();
    }
  }
}
