import { setTimeout as wait } from 'node:timers/promises';
import { blocksOf } from '../../domain/record-block.ts';
import type { Status } from '../../domain/status.ts';
import { Wakeup } from '../../lib/wakeup.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Part } from '../compose.ts';
import { STATUS } from '../topics.ts';

const EVERY_MS = 1000;
/** Between two publications, however often something changes. */
const AT_LEAST_MS = 25;
/** A worker that has nothing new to tell says that it lives: five seconds after the last time at most. */
const SIGN_OF_LIFE_MS = 5000 - EVERY_MS;

type Addressed = Parameters<typeof blocksOf>[0][number];

/**
 * Writes the statuses of this thread's parts to the log: those that have changed, once a second, or
 * soon after `changed`. With a worker's id it is one of several publishers of the same parts: each
 * tells of itself every five seconds at least, and takes its statuses away at its end.
 */
export class StatusPublisher implements Part {
  readonly name: string;
  readonly #log: EventLog;
  readonly #parts: readonly Part[];
  readonly #worker: string | undefined;
  readonly #told = new Map<string, Readonly<{ text: string; atMs: number }>>();
  readonly #wakeup = new Wakeup();

  /** `role`, with the worker, names the producer; one publisher of a name lives at a time. */
  constructor(role: string, log: EventLog, parts: readonly Part[], worker?: string) {
    this.name = `status of ${worker === undefined ? role : `${role}@${worker}`}`;
    this.#log = log;
    this.#parts = parts;
    this.#worker = worker;
  }

  readonly changed = (): void => this.#wakeup.raise();

  /** Publishes a last time once `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const producer = await this.#log.openProducer(this.name);
    try {
      for (;;) {
        const isLast = signal.aborted;
        const news = await this.#news();
        if (isLast) news.push(...this.#farewell());
        if (news.length > 0) await producer.append(blocksOf(news));
        if (isLast) return;
        await this.#pause(signal);
      }
    } catch (error) {
      // What was about to be told may not be in the log: the next run tells all of it again.
      this.#told.clear();
      throw error;
    } finally {
      await producer.close();
    }
  }

  async #news(): Promise<Addressed[]> {
    const statuses = await Promise.all(this.#parts.map(async (part) => part.status?.()));
    return statuses
      .filter((status) => status !== undefined)
      .filter((status) => this.#isNews(status))
      .map((status) => {
        const own = this.#worker === undefined ? status : { ...status, worker: this.#worker };
        return recordOf(this.#keyOf(status), status.atMs, Buffer.from(JSON.stringify(own)));
      });
  }

  /** Counts and problems of a worker that ended are of interest no more, but that it ended is. */
  #farewell(): Addressed[] {
    if (this.#worker === undefined) return [];
    return [...this.#told].map(([key, { atMs }]) => recordOf(key, atMs, null));
  }

  #isNews(status: Status): boolean {
    const key = this.#keyOf(status);
    const text = JSON.stringify({ ...status, atMs: 0 });
    const last = this.#told.get(key);
    const isSilent =
      this.#worker !== undefined && status.atMs - (last?.atMs ?? 0) >= SIGN_OF_LIFE_MS;
    if (last?.text === text && !isSilent) return false;
    this.#told.set(key, { text, atMs: status.atMs });
    return true;
  }

  #keyOf({ component }: Status): string {
    return this.#worker === undefined ? component : `${component}@${this.#worker}`;
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const until = AbortSignal.any([signal, AbortSignal.timeout(EVERY_MS - AT_LEAST_MS)]);
    // An abort ends the pause, which is all that it is for.
    await wait(AT_LEAST_MS, undefined, { signal }).catch(() => undefined);
    await this.#wakeup.wait(until);
  }
}

function recordOf(key: string, timestampMs: number, value: Buffer | null): Addressed {
  const record = { timestampMs, key: Buffer.from(key), value, headers: [] };
  return { topic: STATUS, partition: 0, record };
}
