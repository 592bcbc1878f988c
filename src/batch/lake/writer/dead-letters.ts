import { blocksOf, type Header, type LogRecord } from '../../../domain/record-block.ts';
import type { EventLog, Producer, TopicPartition } from '../../../ports/event-log.ts';
import { readTo } from '../../../ports/read-to.ts';
import type { UnreadableRecord } from './unreadable-records.ts';

const PRODUCER = 'lake-writer';

/**
 * Puts records that are no change events aside, as they were, with the reason in headers as Kafka
 * Connect names them. Each once: what was put aside is noted with it, in one step.
 */
export class LakeDeadLetters {
  readonly #log: EventLog;
  readonly #topic: string;
  #producer: Producer | undefined;

  constructor(log: EventLog, topic: string) {
    this.#log = log;
    this.#topic = topic;
  }

  /** Returns how many were new. */
  async add(
    topic: string,
    records: readonly UnreadableRecord[],
    signal: AbortSignal,
  ): Promise<number> {
    this.#producer ??= await this.#open();
    const known = new Map(
      Object.entries(JSON.parse(this.#producer.position ?? '{}') as Record<string, number>),
    );
    const fresh = records.filter(
      ({ partition, offset }) => offset > (known.get(`${topic}/${partition}`) ?? -1),
    );
    const letters: LogRecord[] = [];
    for (const { partition, offset, reason } of fresh) {
      const from = { topic, partition };
      const original = await this.#original(from, offset, signal);
      if (original === undefined) continue;
      letters.push({
        ...original,
        headers: [...original.headers, ...reasons(from, offset, reason)],
      });
      known.set(
        `${topic}/${partition}`,
        Math.max(offset, known.get(`${topic}/${partition}`) ?? -1),
      );
    }
    if (letters.length === 0) return 0;
    const addressed = letters.map((record) => ({ topic: this.#topic, partition: 0, record }));
    const position = JSON.stringify(Object.fromEntries(known));
    await this.#producer.append(blocksOf(addressed), position);
    return letters.length;
  }

  /** To be opened again: a failed producer takes nothing more. */
  async close(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.close();
  }

  async #open(): Promise<Producer> {
    await this.#log.createTopics([{ name: this.#topic, partitions: 1, cleanup: 'delete' }]);
    return this.#log.openProducer(PRODUCER);
  }

  async #original(
    from: TopicPartition,
    offset: number,
    signal: AbortSignal,
  ): Promise<LogRecord | undefined> {
    for await (const records of readTo(this.#log, { ...from, offset }, offset + 1, signal))
      return records[0];
    return undefined;
  }
}

function reasons({ topic, partition }: TopicPartition, offset: number, reason: string): Header[] {
  return [
    ['__connect.errors.topic', topic],
    ['__connect.errors.partition', String(partition)],
    ['__connect.errors.offset', String(offset)],
    ['__connect.errors.connector.name', PRODUCER],
    ['__connect.errors.stage', 'lake'],
    ['__connect.errors.exception.message', reason],
  ];
}
