import type { LogRecord } from '../../../domain/record-block.ts';
import type { EventLog } from '../../../ports/event-log.ts';
import { readTo } from '../../../ports/read-to.ts';
import { EventFileWriter } from './event-file.ts';
import { type EventSample, sampleOf } from './event-sample.ts';

/** What is read of one partition. */
export type Stretch = Readonly<{ partition: number; from: number; end: number }>;

/** Events of one topic, in a file that goes when this is disposed of. */
export type TopicEvents = AsyncDisposable &
  Readonly<{
    /** Undefined without events. */
    file: EventFileWriter | undefined;
    sample: EventSample | undefined;
    /** By partition, where reading goes on. */
    next: ReadonlyMap<number, number>;
    /** By partition, the last record; none of a partition that had none. */
    lastRead: ReadonlyMap<number, LogRecord>;
  }>;

/** Reads the stretches one after another, into files of about so many bytes; tombstones are left out. */
export async function* readEvents(
  log: EventLog,
  topic: string,
  stretches: readonly Stretch[],
  { dir, bytes }: Readonly<{ dir: string; bytes: number }>,
  signal: AbortSignal,
): AsyncGenerator<TopicEvents, void, undefined> {
  await using pile = new Pile(dir);
  for (const { partition, from, end } of stretches) {
    for await (const records of readTo(log, { topic, partition, offset: from }, end, signal)) {
      for (const record of records) {
        const adding = pile.add(partition, record);
        // Waits for the disk only where it must: a promise a record would cost more than the record.
        if (adding !== undefined) await adding;
        if (pile.bytes >= bytes) yield pile.take();
      }
    }
    signal.throwIfAborted();
    pile.next.set(partition, end);
  }
  if (pile.next.size > 0) yield pile.take();
}

/** What has been read and not been taken yet. */
class Pile implements AsyncDisposable {
  next = new Map<number, number>();
  #lastRead = new Map<number, LogRecord>();
  readonly #dir: string;
  #file: EventFileWriter | undefined;
  #first: LogRecord | undefined;
  #last: LogRecord | undefined;

  constructor(dir: string) {
    this.#dir = dir;
  }

  get bytes(): number {
    return this.#file?.bytes ?? 0;
  }

  add(partition: number, record: LogRecord): Promise<void> | undefined {
    this.next.set(partition, record.offset + 1);
    this.#lastRead.set(partition, record);
    if (record.value === null) return undefined;
    this.#first ??= record;
    this.#last = record;
    if (this.#file !== undefined) return this.#file.add(partition, record, record.value);
    return this.#addFirst(partition, record, record.value);
  }

  take(): TopicEvents {
    const file = this.#file;
    const samples = [this.#last, this.#first].flatMap((record) => record ?? []);
    const next = this.next;
    const lastRead = this.#lastRead;
    this.#file = undefined;
    this.#first = undefined;
    this.#last = undefined;
    this.next = new Map();
    this.#lastRead = new Map();
    return {
      file,
      sample: samples.map(sampleOf).find((each) => each !== undefined),
      next,
      lastRead,
      [Symbol.asyncDispose]: async () => file?.[Symbol.asyncDispose](),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.[Symbol.asyncDispose]();
  }

  async #addFirst(partition: number, record: LogRecord, value: Uint8Array): Promise<void> {
    this.#file = await EventFileWriter.create(this.#dir);
    await this.#file.add(partition, record, value);
  }
}
