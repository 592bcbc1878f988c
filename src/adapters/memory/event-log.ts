import { MillraceError } from '../../domain/errors.ts';
import { decodeBlock, type LogRecord, type RecordBlock } from '../../domain/record-block.ts';
import { Bell } from '../../lib/bell.ts';
import { GroupMembers } from '../../lib/group-members.ts';
import type {
  Assignment,
  EventLog,
  LogBatch,
  Producer,
  TopicDeclaration,
  TopicPartition,
} from '../../ports/event-log.ts';

type ProducerState = { epoch: number; position: string | undefined };

/**
 * The event log for tests: everything in memory, nothing removed, gone with the object. With
 * `markers`, each append takes one offset more than it has records in each partition, as Kafka's transactions do.
 */
export class MemoryEventLog implements EventLog {
  readonly #bell = new Bell();
  readonly #groups = new GroupMembers();
  readonly #topics = new Map<string, TopicDeclaration>();
  readonly #records = new Map<string, (LogRecord | undefined)[]>();
  readonly #markers: boolean;
  readonly #producers = new Map<string, ProducerState>();
  readonly #closed = new AbortController();

  constructor({ markers = false } = {}) {
    this.#markers = markers;
  }

  async createTopics(declarations: readonly TopicDeclaration[]): Promise<void> {
    for (const { name, partitions } of declarations) {
      const existing = this.#topics.get(name);
      if (existing !== undefined && existing.partitions !== partitions) {
        throw new MillraceError('topic_partitions_changed', {
          topic: name,
          expected: partitions,
          found: existing.partitions,
        });
      }
    }
    for (const declaration of declarations) {
      if (this.#topics.has(declaration.name)) continue;
      this.#topics.set(declaration.name, declaration);
      for (let partition = 0; partition < declaration.partitions; partition += 1) {
        this.#records.set(idOf({ topic: declaration.name, partition }), []);
      }
    }
  }

  async topics(): Promise<readonly TopicDeclaration[]> {
    return [...this.#topics.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  async openProducer(name: string): Promise<Producer> {
    const state = this.#producers.get(name) ?? { epoch: 0, position: undefined };
    this.#producers.set(name, state);
    state.epoch += 1;
    return new MemoryProducer(name, state, (blocks) => this.#write(blocks));
  }

  async positionOf(producer: string): Promise<string | undefined> {
    return this.#producers.get(producer)?.position;
  }

  async *read(
    from: TopicPartition & { offset: number },
    signal: AbortSignal,
  ): AsyncGenerator<LogBatch, void, undefined> {
    const ended = AbortSignal.any([signal, this.#closed.signal]);
    const records = this.#recordsOf(from);
    if (from.offset > records.length || from.offset < 0) {
      throw new MillraceError('offset_out_of_range', {
        topic: from.topic,
        partition: from.partition,
        offset: from.offset,
        start: 0,
        end: records.length,
      });
    }
    let next = from.offset;
    while (!ended.aborted) {
      const seen = this.#bell.count(idOf(from));
      if (next < records.length) {
        const batch = records.slice(next).filter((record) => record !== undefined);
        next = records.length;
        yield { records: batch, next };
      } else {
        await this.#bell.heard(idOf(from), seen, ended);
      }
    }
  }

  async offsets(partition: TopicPartition): Promise<Readonly<{ start: number; end: number }>> {
    return { start: 0, end: this.#recordsOf(partition).length };
  }

  async offsetAt(partition: TopicPartition, timestampMs: number): Promise<number> {
    const records = this.#recordsOf(partition);
    const index = records.findIndex(
      (record) => record !== undefined && record.timestampMs >= timestampMs,
    );
    return index < 0 ? records.length : index;
  }

  async *join(
    group: string,
    topics: readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<Assignment, void, undefined> {
    const partitions = topics.flatMap((topic) => {
      const declaration = this.#topics.get(topic);
      if (declaration === undefined) throw new MillraceError('topic_missing', { topic });
      return Array.from({ length: declaration.partitions }, (_, partition) => ({
        topic,
        partition,
      }));
    });
    yield* this.#groups.join(group, partitions, AbortSignal.any([signal, this.#closed.signal]));
  }

  async applyRetention(): Promise<number> {
    return 0;
  }

  async sizeBytes(): Promise<undefined> {
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    this.#bell[Symbol.dispose]();
  }

  #write(blocks: readonly RecordBlock[]): void {
    const targets = blocks.map((block) => ({ block, records: this.#recordsOf(block) }));
    for (const { block, records } of targets) {
      for (const record of decodeBlock(Buffer.from(block.bytes), records.length))
        records.push(record);
      if (this.#markers) records.push(undefined);
    }
    for (const block of blocks) this.#bell.ring(idOf(block));
  }

  #recordsOf(partition: TopicPartition): (LogRecord | undefined)[] {
    const records = this.#records.get(idOf(partition));
    if (records === undefined) {
      throw new MillraceError('topic_missing', {
        topic: partition.topic,
        partition: partition.partition,
      });
    }
    return records;
  }
}

class MemoryProducer implements Producer {
  readonly #name: string;
  readonly #state: ProducerState;
  readonly #epoch: number;
  readonly #write: (blocks: readonly RecordBlock[]) => void;
  #position: string | undefined;
  #failure: unknown;

  constructor(name: string, state: ProducerState, write: (blocks: readonly RecordBlock[]) => void) {
    this.#name = name;
    this.#state = state;
    this.#epoch = state.epoch;
    this.#position = state.position;
    this.#write = write;
  }

  get position(): string | undefined {
    return this.#position;
  }

  async append(blocks: readonly RecordBlock[], position?: string): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      if (this.#state.epoch !== this.#epoch) {
        throw new MillraceError('producer_fenced', { producer: this.#name });
      }
      this.#write(blocks);
      if (position !== undefined) this.#position = this.#state.position = position;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#failure ??= new Error(`the producer ${this.#name} was closed`);
  }
}

function idOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
