import { blocksOf } from '../../domain/record-block.ts';
import type { EventLog, Producer } from '../../ports/event-log.ts';
import { readTo } from '../../ports/read-to.ts';

/**
 * Time that passed in a task though no record told so: before the record at offset `after`, nothing
 * earlier than `timeMs` comes any more.
 */
export type Tick = Readonly<{ number: number; after: number; timeMs: number }>;

/**
 * The ticks of one task. Each is in the log before the task obeys it, and is obeyed between the same
 * records again when the task works through its input again: so a replay closes the same windows
 * at the same places, whenever it happens.
 */
export class Ticks {
  readonly #log: EventLog;
  readonly #topic: string;
  readonly #task: string;
  #ahead: Tick[] = [];
  #last = 0;
  #producer: Producer | undefined;

  constructor({ log, topic, task }: Readonly<{ log: EventLog; topic: string; task: string }>) {
    this.#log = log;
    this.#topic = topic;
    this.#task = task;
  }

  /** Those that a task at `next` has yet to obey, of which it obeyed `obeyed` so far. */
  async load(next: number, obeyed: number, signal: AbortSignal): Promise<void> {
    const partition = { topic: this.#topic, partition: 0 };
    const { start, end } = await this.#log.offsets(partition);
    // Of two with one number, a process wrote the first that no longer had the task.
    const found = new Map<number, Tick>();
    for await (const records of readTo(this.#log, { ...partition, offset: start }, end, signal)) {
      for (const { key, value } of records) {
        if (key === null || value === null || Buffer.from(key).toString() !== this.#task) continue;
        const tick = JSON.parse(Buffer.from(value).toString()) as Tick;
        found.set(tick.number, tick);
      }
    }
    this.#last = Math.max(obeyed, ...found.keys());
    this.#ahead = [...found.values()]
      .filter(({ number, after }) => number > obeyed && after >= next)
      .toSorted((a, b) => a.number - b.number);
  }

  /** Whether one is to be obeyed before the record at `offset`. */
  isDue(offset: number): boolean {
    const first = this.#ahead[0];
    return first !== undefined && first.after <= offset;
  }

  /** The next one to be obeyed before the record at `offset`. */
  takeBefore(offset: number): Tick | undefined {
    return this.isDue(offset) ? this.#ahead.shift() : undefined;
  }

  /** It is to be obeyed from then on. */
  async append(after: number, timeMs: number): Promise<void> {
    this.#producer ??= await this.#log.openProducer(`${this.#task}/ticks`);
    const tick = { number: this.#last + 1, after, timeMs };
    const record = {
      timestampMs: timeMs,
      key: Buffer.from(this.#task),
      value: Buffer.from(JSON.stringify(tick)),
      headers: [],
    };
    await this.#producer.append(blocksOf([{ topic: this.#topic, partition: 0, record }]));
    this.#last = tick.number;
    this.#ahead.push(tick);
  }

  /** May be used again afterwards. */
  async close(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.close();
  }
}
