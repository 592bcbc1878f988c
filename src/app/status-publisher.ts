import { setTimeout as wait } from 'node:timers/promises';
import { blocksOf } from '../domain/record-block.ts';
import type { Status } from '../domain/status.ts';
import { Wakeup } from '../lib/wakeup.ts';
import type { EventLog } from '../ports/event-log.ts';
import type { Part } from './compose.ts';
import { STATUS } from './topics.ts';

const EVERY_MS = 1000;
/** Between two publications, however often something changes. */
const AT_LEAST_MS = 25;

/** Writes the statuses of this thread's parts to the log: those that have changed, once a second, or soon after `changed`. */
export class StatusPublisher implements Part {
  readonly name: string;
  readonly #log: EventLog;
  readonly #parts: readonly Part[];
  readonly #told = new Map<string, string>();
  readonly #wakeup = new Wakeup();

  /** `role` names the producer; one publisher of a role lives at a time. */
  constructor(role: string, log: EventLog, parts: readonly Part[]) {
    this.name = `status of ${role}`;
    this.#log = log;
    this.#parts = parts;
  }

  readonly changed = (): void => this.#wakeup.raise();

  /** Publishes a last time once `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const producer = await this.#log.openProducer(this.name);
    try {
      for (;;) {
        const isLast = signal.aborted;
        const news = await this.#news();
        if (news.length > 0) await producer.append(blocksOf(news));
        if (isLast) return;
        await this.#pause(signal);
      }
    } finally {
      await producer.close();
    }
  }

  async #news() {
    const statuses = await Promise.all(this.#parts.map(async (part) => part.status?.()));
    return statuses
      .filter((status) => status !== undefined)
      .filter((status) => this.#isNews(status))
      .map((status) => ({
        topic: STATUS,
        partition: 0,
        record: {
          timestampMs: status.atMs,
          key: Buffer.from(status.component),
          value: Buffer.from(JSON.stringify(status)),
          headers: [],
        },
      }));
  }

  #isNews(status: Status): boolean {
    const text = JSON.stringify({ ...status, atMs: 0 });
    const isNews = this.#told.get(status.component) !== text;
    this.#told.set(status.component, text);
    return isNews;
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const until = AbortSignal.any([signal, AbortSignal.timeout(EVERY_MS - AT_LEAST_MS)]);
    // An abort ends the pause, which is all that it is for.
    await wait(AT_LEAST_MS, undefined, { signal }).catch(() => undefined);
    await this.#wakeup.wait(until);
  }
}
