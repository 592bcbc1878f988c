import type { PostgresClient } from '../src/adapters/postgres/client.ts';
import { must } from '../src/lib/must.ts';

type Pace = Readonly<{
  perSecond: number;
  seconds: number;
  /** Inserts one row; `n` counts them from 0. */
  insert: (client: PostgresClient, n: number) => Promise<unknown>;
}>;

/** Single-row transactions, evenly in time, over however many connections. */
export class SteadyInserts {
  readonly total: number;
  readonly #clients: readonly PostgresClient[];
  readonly #pace: Pace;
  readonly #open: Promise<unknown>[] = [];
  readonly #startedMs = performance.now();

  constructor(clients: readonly PostgresClient[], pace: Pace) {
    this.total = pace.perSecond * pace.seconds;
    this.#clients = clients;
    this.#pace = pace;
  }

  /** Sends what is due by now; to be called often. */
  sendDue(): void {
    const due = ((performance.now() - this.#startedMs) / 1000) * this.#pace.perSecond;
    for (let sent = this.#open.length; sent < Math.min(this.total, due); sent += 1) {
      const client = must(this.#clients[sent % this.#clients.length], 'there is a connection');
      this.#open.push(this.#pace.insert(client, sent));
    }
  }

  /** All that was sent is committed. */
  async done(): Promise<void> {
    await Promise.all(this.#open);
  }
}
