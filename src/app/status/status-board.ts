import type {
  BatchStatus,
  ConnectorStatus,
  GeneratorStatus,
  LakeWriterStatus,
  ProcessorStatus,
  Status,
} from '../../domain/status.ts';
import { Wakeup } from '../../lib/wakeup.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { StatusReport, WorkerFacts } from '../operations/operations.ts';
import { ToldStatuses } from './told-statuses.ts';
import { STATUS } from '../topics.ts';

/** More than parts tell between two looks; all that was ever told may be a million records. */
const LATEST_RECORDS = 2000;
/** Whoever lives has told of itself in this time, however many there are. */
const LATEST_MS = 60_000;
/** What was not said shows only by the clock. */
const LOOK_EVERY_MS = 1000;

/** What all parts told of themselves last, from the status topic. */
export class StatusBoard {
  readonly #log: EventLog;
  readonly #clock: () => number;
  readonly #told: ToldStatuses;
  readonly #waiters = new Set<Wakeup>();
  #next = 0;

  constructor(log: EventLog, clock: () => number = Date.now) {
    this.#log = log;
    this.#clock = clock;
    this.#told = new ToldStatuses(clock);
  }

  get connector(): ConnectorStatus | undefined {
    return this.#told.connector;
  }

  get generator(): GeneratorStatus | undefined {
    return this.#told.generator;
  }

  get lake(): LakeWriterStatus | undefined {
    return this.#told.lake;
  }

  get batch(): BatchStatus | undefined {
    return this.#told.batch;
  }

  get processors(): readonly ProcessorStatus[] {
    return this.#told.processors;
  }

  processor(name: string): ProcessorStatus | undefined {
    return this.#told.processor(name);
  }

  /** What runs in processes of their own; empty where one process runs everything. */
  get workers(): readonly WorkerFacts[] {
    return this.#told.workers;
  }

  /** As workers tell them; nothing of one process that runs everything. */
  rates(): NonNullable<StatusReport['rates']> {
    return this.#told.rates();
  }

  /** Takes in what was told before now; in a new log that is nothing. */
  async load(): Promise<void> {
    if (!(await this.#log.topics()).some(({ name }) => name === STATUS)) return;
    const topic = { topic: STATUS, partition: 0 };
    const { start, end } = await this.#log.offsets(topic);
    const lately = await this.#log.offsetAt(topic, this.#clock() - LATEST_MS);
    this.#next = Math.max(start, Math.min(lately, end - LATEST_RECORDS));
    if (this.#next >= end) return;
    const loaded = new AbortController();
    // What was told long ago makes nobody live, and a clock that is ahead nobody live longer.
    const heardAt = (timestampMs: number): number => Math.min(timestampMs, this.#clock());
    for await (const next of this.#follow(heardAt, loaded.signal)) if (next >= end) loaded.abort();
  }

  /** Leaves out what was told before now, by parts that are gone. */
  async skip(): Promise<void> {
    this.#next = (await this.#log.offsets({ topic: STATUS, partition: 0 })).end;
  }

  /** Keeps up with the topic until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for await (const _next of this.#follow(this.#clock, signal))
      for (const waiter of this.#waiters) waiter.raise();
  }

  /** Resolves to what `find` gives once it is not undefined; needs `run`. Rejects when `signal` aborts. */
  async until<T>(find: () => T | undefined, signal: AbortSignal): Promise<T> {
    const changed = new Wakeup();
    this.#waiters.add(changed);
    const looking = setInterval(() => changed.raise(), LOOK_EVERY_MS);
    try {
      for (;;) {
        signal.throwIfAborted();
        const found = find();
        if (found !== undefined) return found;
        await changed.wait(signal);
      }
    } finally {
      clearInterval(looking);
      this.#waiters.delete(changed);
    }
  }

  async *#follow(
    heardAt: (timestampMs: number) => number,
    signal: AbortSignal,
  ): AsyncGenerator<number> {
    const from = { topic: STATUS, partition: 0, offset: this.#next };
    for await (const { records, next } of this.#log.read(from, signal)) {
      this.#next = next;
      for (const { key, value, offset, timestampMs } of records) {
        if (key === null) continue;
        const name = Buffer.from(key).toString('utf8');
        if (value === null) {
          this.#told.leave(name);
        } else {
          const status = JSON.parse(Buffer.from(value).toString('utf8')) as Status;
          this.#told.tell(name, status, { offset, heardMs: heardAt(timestampMs) });
        }
      }
      yield this.#next;
    }
  }
}
