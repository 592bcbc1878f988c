import { runShop } from '../../crash/shop-load.ts';
import { churn } from './churn.ts';

/** Changes to the shop's tables, seeded, until it is stopped: its generator, and what that leaves out. */
export class ShopLoad implements AsyncDisposable {
  readonly #quiet = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(options: Parameters<typeof runShop>[0]) {
    const { signal } = this.#quiet;
    this.#running = Promise.all([runShop(options, signal), churn(options, signal)]);
    // Thrown where it is stopped.
    this.#running.catch(() => this.#quiet.abort());
  }

  /** Settles when nobody changes the tables any more; throws when the load itself has failed. */
  async stop(): Promise<void> {
    this.#quiet.abort();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
