import { blocksOf, type LogRecord } from '../domain/record-block.ts';
import { must } from '../lib/must.ts';
import { Wakeup } from '../lib/wakeup.ts';
import type { EventLog, Producer } from '../ports/event-log.ts';
import type { OutgoingRecord, Store } from '../ports/store.ts';

const RECORDS_PER_APPEND = 500;
/** More than this waiting makes the task wait too. */
const MAX_WAITING = 5_000;

/**
 * Appends what a task put out to the log, each record once, in order.
 *
 * The producer bears the task's name, and its position is the sequence of the last record it
 * appended: stored with the records, so that a crash before the store hears of it repeats nothing.
 */
export class Forwarder {
  readonly #log: EventLog;
  readonly #store: Store;
  readonly #task: string;
  readonly #wakeup = new Wakeup();
  readonly #room = new Wakeup();
  #waiting = 0;

  constructor({ log, store, task }: { log: EventLog; store: Store; task: string }) {
    this.#log = log;
    this.#store = store;
    this.#task = task;
  }

  /** So many more records were committed. */
  committed(records: number): void {
    if (records === 0) return;
    this.#waiting += records;
    this.#wakeup.raise();
  }

  /** Returns once there is room for more, or `signal` aborts. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.#waiting > MAX_WAITING && !signal.aborted) await this.#room.wait(signal);
  }

  /** Ends when `signal` aborts; what was not appended by then is at the next start. */
  async run(signal: AbortSignal): Promise<void> {
    // Opened when needed: it fences the one before, and most tasks put nothing out.
    let producer: Producer | undefined;
    try {
      while (!signal.aborted) {
        const outgoing = await this.#store.outgoing(this.#task, RECORDS_PER_APPEND);
        const last = outgoing.at(-1);
        if (last === undefined) {
          await this.#wakeup.wait(signal);
          continue;
        }
        producer ??= await this.#log.openProducer(this.#task);
        const appended = Number(producer.position ?? 0);
        const fresh = outgoing.filter(({ sequence }) => sequence > appended);
        if (fresh.length > 0) {
          const blocks = blocksOf(fresh.map(({ record }) => encoded(record)));
          await producer.append(blocks, String(must(fresh.at(-1), 'not empty').sequence));
        }
        await this.#store.forwarded(this.#task, last.sequence);
        this.#waiting = Math.max(0, this.#waiting - outgoing.length);
        this.#room.raise();
      }
    } finally {
      await producer?.close();
    }
  }
}

function encoded({ topic, partition, key, value, headers, timestampMs }: OutgoingRecord): {
  topic: string;
  partition: number;
  record: Omit<LogRecord, 'offset'>;
} {
  const bytes = (text: string | null) => (text === null ? null : Buffer.from(text));
  return {
    topic,
    partition,
    record: { key: bytes(key), value: bytes(value), headers, timestampMs },
  };
}
