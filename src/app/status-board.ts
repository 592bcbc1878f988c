import type {
  ConnectorStatus,
  GeneratorStatus,
  ProcessorStatus,
  Status,
} from '../domain/status.ts';
import { Wakeup } from '../lib/wakeup.ts';
import type { EventLog } from '../ports/event-log.ts';
import { STATUS } from './topics.ts';

/** More than parts tell between two looks; all that was ever told may be a million records. */
const LATEST_RECORDS = 2000;

/** What all parts told of themselves last, from the status topic. */
export class StatusBoard {
  readonly #log: EventLog;
  readonly #statuses = new Map<string, Status>();
  readonly #waiters = new Set<Wakeup>();
  #next = 0;

  constructor(log: EventLog) {
    this.#log = log;
  }

  get connector(): ConnectorStatus | undefined {
    return this.#statuses.get('connector') as ConnectorStatus | undefined;
  }

  get generator(): GeneratorStatus | undefined {
    return this.#statuses.get('generator') as GeneratorStatus | undefined;
  }

  get processors(): readonly ProcessorStatus[] {
    return [...this.#statuses.values()]
      .filter((status) => status.component.startsWith('processor:'))
      .map((status) => status as ProcessorStatus)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  processor(name: string): ProcessorStatus | undefined {
    return this.#statuses.get(`processor:${name}`) as ProcessorStatus | undefined;
  }

  /** Takes in what was told before now; in a new log that is nothing. */
  async load(): Promise<void> {
    if (!(await this.#log.topics()).some(({ name }) => name === STATUS)) return;
    const { start, end } = await this.#log.offsets({ topic: STATUS, partition: 0 });
    this.#next = Math.max(start, end - LATEST_RECORDS);
    if (this.#next >= end) return;
    const loaded = new AbortController();
    for await (const next of this.#follow(loaded.signal)) if (next >= end) loaded.abort();
  }

  /** Leaves out what was told before now, by parts that are gone. */
  async skip(): Promise<void> {
    this.#next = (await this.#log.offsets({ topic: STATUS, partition: 0 })).end;
  }

  /** Keeps up with the topic until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for await (const _next of this.#follow(signal))
      for (const waiter of this.#waiters) waiter.raise();
  }

  /** Resolves to what `find` gives once it is not undefined; needs `run`. Rejects when `signal` aborts. */
  async until<T>(find: () => T | undefined, signal: AbortSignal): Promise<T> {
    const changed = new Wakeup();
    this.#waiters.add(changed);
    try {
      for (;;) {
        signal.throwIfAborted();
        const found = find();
        if (found !== undefined) return found;
        await changed.wait(signal);
      }
    } finally {
      this.#waiters.delete(changed);
    }
  }

  async *#follow(signal: AbortSignal): AsyncGenerator<number> {
    const from = { topic: STATUS, partition: 0, offset: this.#next };
    for await (const { records, next } of this.#log.read(from, signal)) {
      this.#next = next;
      for (const { key, value } of records) {
        if (key === null || value === null) continue;
        const status = JSON.parse(Buffer.from(value).toString('utf8')) as Status;
        this.#statuses.set(Buffer.from(key).toString('utf8'), status);
      }
      yield this.#next;
    }
  }
}
