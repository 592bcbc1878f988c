import { MillraceError } from '../../domain/errors.ts';
import type {
  Assignment,
  EventLog,
  LogBatch,
  Producer,
  TopicDeclaration,
  TopicPartition,
} from '../../ports/event-log.ts';
import type { KafkaAddress } from './address.ts';
import { Cluster } from './cluster.ts';
import { GroupMember } from './group-member.ts';
import { endOf, startOf } from './offsets.ts';
import { readPartition } from './partition-reader.ts';
import { positionIn } from './positions.ts';
import { KafkaProducer } from './producer.ts';
import { offsetSince } from './time-search.ts';
import { ensurePositions, ensureTopics, listTopics, type Retention } from './topics.ts';

/** The event log in a Kafka cluster, of any number of processes. */
export class KafkaEventLog implements EventLog {
  readonly #cluster: Cluster;
  readonly #retention: Retention;
  /** Those that are open. */
  readonly #producers = new Set<Producer>();
  readonly #closing = new AbortController();
  /** Only those who append need it, and the right to create it. */
  #hasPositions = false;

  private constructor(cluster: Cluster, retention: Retention) {
    this.#cluster = cluster;
    this.#retention = retention;
  }

  /**
   * `retention` is for the topics that are created from now on: how old records get, and the bytes
   * of each partition. Fails with `log_unreachable`, `log_login_failed`, `log_refuses` or
   * `log_unsuitable`, without trying again.
   */
  static async open(
    address: KafkaAddress,
    { retention }: { retention: Retention },
  ): Promise<KafkaEventLog> {
    return new KafkaEventLog(await Cluster.open(address), retention);
  }

  createTopics(declarations: readonly TopicDeclaration[]): Promise<void> {
    return ensureTopics(this.#cluster, declarations, this.#retention);
  }

  topics(): Promise<readonly TopicDeclaration[]> {
    return listTopics(this.#cluster);
  }

  async openProducer(name: string): Promise<Producer> {
    if (!this.#hasPositions) await ensurePositions(this.#cluster);
    this.#hasPositions = true;
    const producer = await KafkaProducer.open(this.#cluster, name, () => {
      this.#producers.delete(producer);
    });
    this.#producers.add(producer);
    return producer;
  }

  async positionOf(producer: string): Promise<string | undefined> {
    try {
      return await positionIn(this.#cluster, producer);
    } catch (error) {
      // The first producer makes the topic.
      if (error instanceof MillraceError && error.code === 'topic_missing') return undefined;
      throw error;
    }
  }

  read(
    from: TopicPartition & { offset: number },
    signal: AbortSignal,
  ): AsyncGenerator<LogBatch, void, undefined> {
    return readPartition(this.#cluster, from, AbortSignal.any([signal, this.#closing.signal]));
  }

  async offsets(partition: TopicPartition): Promise<Readonly<{ start: number; end: number }>> {
    const [start, end] = await Promise.all([
      startOf(this.#cluster, partition),
      endOf(this.#cluster, partition),
    ]);
    return { start, end };
  }

  offsetAt(partition: TopicPartition, timestampMs: number): Promise<number> {
    return offsetSince(this.#cluster, partition, timestampMs);
  }

  async *join(
    group: string,
    topics: readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<Assignment, void, undefined> {
    const either = AbortSignal.any([signal, this.#closing.signal]);
    try {
      for (const topic of topics) await this.#cluster.partitionsOf(topic, either);
    } catch (error) {
      if (either.aborted) return;
      throw error;
    }
    yield* new GroupMember(this.#cluster, `millrace/${group}`, topics).assignments(either);
  }

  /** The brokers do it. */
  async applyRetention(): Promise<number> {
    return 0;
  }

  /** The files are the brokers' own. */
  async sizeBytes(): Promise<undefined> {
    return undefined;
  }

  /** Waits for the appends that are under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#producers].map((producer) => producer.close()));
    await this.#cluster[Symbol.asyncDispose]();
  }
}
