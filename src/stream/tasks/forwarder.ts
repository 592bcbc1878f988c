import { MillraceError } from '../../domain/errors.ts';
import { blocksOf, type LogRecord } from '../../domain/record-block.ts';
import { Wakeup } from '../../lib/wakeup.ts';
import type { EventLog, Producer } from '../../ports/event-log.ts';
import type { OutgoingRecord, Store } from '../../ports/store.ts';
import { isTurnRepeated, notAppended, parseAppended, withAppended } from './appended.ts';
import { OwnDeadLetters } from './own-dead-letters.ts';

const RECORDS_PER_APPEND = 500;
/** More than this waiting makes the task wait too. */
const MAX_WAITING = 5_000;
const NOTHING: ReadonlySet<number> = new Set();

/**
 * Appends what a task put out to the log, each record once, in order.
 *
 * The producer bears the task's name, and its position says what it appended last: stored with the
 * records, so that neither a crash before the store hears of it repeats anything, nor a store that
 * lost commits, or everything, and has the task work through its input again.
 */
export class Forwarder {
  readonly #log: EventLog;
  readonly #store: Store;
  readonly #task: string;
  readonly #deadLetters: OwnDeadLetters;
  readonly #wakeup = new Wakeup();
  readonly #room = new Wakeup();
  #waiting = 0;

  constructor({
    log,
    store,
    task,
    deadLetterTopic: topic,
  }: Readonly<{ log: EventLog; store: Store; task: string; deadLetterTopic: string }>) {
    this.#deadLetters = new OwnDeadLetters({ log, topic, task });
    this.#log = log;
    this.#store = store;
    this.#task = task;
  }

  /** So many more records were committed. */
  committed(records: number): void {
    if (records === 0) return;
    this.#waiting += records;
    this.look();
  }

  /** Looks for records now: a store that lost commits may have some again. */
  look(): void {
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
          // Also what the store lost no longer waits.
          this.#forget(Infinity);
          await this.#wakeup.wait(signal);
          continue;
        }
        producer ??= await this.#log.openProducer(this.#task);
        const appended = parseAppended(producer.position);
        const parked = isTurnRepeated(outgoing, appended)
          ? await this.#deadLetters.offsets(signal)
          : NOTHING;
        if (signal.aborted) break;
        const deadLetterTopic = this.#deadLetters.topic;
        const fresh = notAppended(outgoing, appended, { deadLetterTopic, parked });
        if (fresh.length > 0) {
          const blocks = blocksOf(fresh.map(({ record }) => encoded(record)));
          await this.#append(producer, blocks, JSON.stringify(withAppended(appended, fresh)));
        }
        await this.#store.forwarded(this.#task, last);
        this.#forget(outgoing.length);
      }
    } finally {
      await producer?.close();
    }
  }

  /** Nobody is to stop who was fenced: a worker that was cut off takes part again. */
  async #append(producer: Producer, ...what: Parameters<Producer['append']>): Promise<void> {
    try {
      await producer.append(...what);
    } catch (error) {
      const isFenced = error instanceof MillraceError && error.code === 'producer_fenced';
      throw isFenced ? new MillraceError('task_taken_over', { task: this.#task }, error) : error;
    }
  }

  #forget(records: number): void {
    this.#waiting = Math.max(0, this.#waiting - records);
    this.#room.raise();
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
