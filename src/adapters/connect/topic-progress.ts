import type { EventLog, TopicPartition } from '../../ports/event-log.ts';
import { readTo } from '../../ports/read-to.ts';

/** A change may be followed by its tombstone. */
const LAST_RECORDS = 2;
const NEVER = new AbortController().signal;

type Extent = TopicPartition & Readonly<{ start: number; end: number }>;

/** What somebody else appends to topics, seen from outside. */
export class TopicProgress {
  /** Since the first look, by the ends of the partitions; tombstones count too. */
  changes = 0;
  /** How old the last change was when it was appended, by the clocks of source and Connect. */
  lagMs: number | undefined;
  readonly #log: EventLog;
  readonly #partitionsOf: (topic: string) => number;
  readonly #ends = new Map<string, number>();
  #hasLooked = false;

  constructor(log: EventLog, partitionsOf: (topic: string) => number) {
    this.#log = log;
    this.#partitionsOf = partitionsOf;
  }

  /** What stands in the topics at the first look does not count; a topic that comes later is new. */
  async look(topics: Iterable<string>): Promise<void> {
    let found = 0;
    let grown: Extent | undefined;
    for (const topic of topics)
      for (let partition = 0; partition < this.#partitionsOf(topic); partition += 1) {
        const { start, end } = await this.#log.offsets({ topic, partition });
        const id = `${topic}-${partition}`;
        const more = end - (this.#ends.get(id) ?? (this.#hasLooked ? start : end));
        this.#ends.set(id, end);
        found += Math.max(0, more);
        if (more > 0) grown = { topic, partition, start, end };
      }
    this.#hasLooked = true;
    // One of them is enough to see by.
    const lagMs = grown && (await this.#lagAt(grown));
    this.lagMs = lagMs ?? this.lagMs;
    this.changes += found;
  }

  async #lagAt({ start, end, ...partition }: Extent): Promise<number | undefined> {
    const from = { ...partition, offset: Math.max(start, end - LAST_RECORDS) };
    let lagMs: number | undefined;
    for await (const records of readTo(this.#log, from, end, NEVER))
      for (const { value, timestampMs } of records) {
        const committedMs = value === null ? undefined : committedAt(value);
        if (committedMs !== undefined) lagMs = Math.max(0, timestampMs - committedMs);
      }
    return lagMs;
  }
}

/** Undefined for a copied row, which is as old as it is. */
function committedAt(value: Uint8Array): number | undefined {
  const { op, source } = JSON.parse(Buffer.from(value).toString('utf8')) as {
    op?: string;
    source?: { ts_ms?: number };
  };
  return op === 'r' ? undefined : source?.ts_ms;
}
