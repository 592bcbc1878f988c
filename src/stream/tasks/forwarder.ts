import { MillraceError } from '../../domain/errors.ts';
import { joinBlocks } from '../../domain/joined-blocks.ts';
import { Wakeup } from '../../lib/wakeup.ts';
import type { EventLog, Producer } from '../../ports/event-log.ts';
import type { Outgoing, Store } from '../../ports/store.ts';
import {
  type Appended,
  isTurnRepeated,
  notAppended,
  parseAppended,
  withAppended,
} from './appended.ts';
import { decodeChunk } from './outgoing-chunk.ts';
import { OwnDeadLetters } from './own-dead-letters.ts';

const BYTES_PER_APPEND = 4 << 20;
/** More than this waiting makes the task wait too. */
const MAX_WAITING_BYTES = 16 << 20;
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
  #waitingBytes = 0;

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

  /** These chunks were committed. */
  committed(chunks: readonly Uint8Array[]): void {
    if (chunks.length === 0) return;
    this.#waitingBytes += bytesOf(chunks);
    this.look();
  }

  /** Looks for records now: a store that lost commits may have some again. */
  look(): void {
    this.#wakeup.raise();
  }

  /** Returns once there is room for more, or `signal` aborts. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.#waitingBytes > MAX_WAITING_BYTES && !signal.aborted) await this.#room.wait(signal);
  }

  /** Ends when `signal` aborts; what was not appended by then is at the next start. */
  async run(signal: AbortSignal): Promise<void> {
    // Opened when needed: it fences the one before, and most tasks put nothing out.
    let producer: Producer | undefined;
    try {
      while (!signal.aborted) {
        const outgoing = await this.#store.outgoing(this.#task, BYTES_PER_APPEND);
        const last = outgoing.at(-1);
        if (last === undefined) {
          // Also what the store lost no longer waits.
          this.#forget(Infinity);
          await this.#wakeup.wait(signal);
          continue;
        }
        producer ??= await this.#log.openProducer(this.#task);
        if (!(await this.#append(producer, outgoing, signal))) break;
        await this.#store.forwarded(this.#task, last);
        this.#forget(bytesOf(outgoing.map(({ chunk }) => chunk)));
      }
    } finally {
      await producer?.close();
    }
  }

  /** What of it is in the log already is not appended again. False when `signal` aborted before. */
  async #append(
    producer: Producer,
    outgoing: readonly Outgoing[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const chunks = outgoing.map(({ chunk }) => decodeChunk(chunk));
    const appended = parseAppended(producer.position);
    const parked = isTurnRepeated(chunks, appended)
      ? await this.#deadLetters.offsets(signal)
      : NOTHING;
    if (signal.aborted) return false;
    const deadLetterTopic = this.#deadLetters.topic;
    const blocks = notAppended(chunks, appended, { deadLetterTopic, parked });
    if (blocks.length === 0) return true;
    const position: Appended = withAppended(appended, chunks);
    try {
      await producer.append(joinBlocks(blocks), JSON.stringify(position));
      return true;
    } catch (error) {
      // Nobody is to stop who was fenced: a worker that was cut off takes part again.
      const isFenced = error instanceof MillraceError && error.code === 'producer_fenced';
      throw isFenced ? new MillraceError('task_taken_over', { task: this.#task }, error) : error;
    }
  }

  #forget(bytes: number): void {
    this.#waitingBytes = Math.max(0, this.#waitingBytes - bytes);
    this.#room.raise();
  }
}

function bytesOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}
