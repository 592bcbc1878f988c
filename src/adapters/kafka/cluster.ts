import { setTimeout as sleep } from 'node:timers/promises';
import { type API, ProtocolError } from '@platformatic/kafka';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import type { TopicPartition } from '../../ports/event-log.ts';
import { type HostAndPort, type KafkaAddress, parseBroker, securityOf } from './address.ts';
import { isHangUp, isPassing, logError } from './errors.ts';
import { Lane } from './lane.ts';
import { apiVersions, metadata, REQUIRED } from './protocol.ts';
import { retried } from './retry.ts';

const REQUEST_TIMEOUT_MS = 8000;
const CONNECT_TIMEOUT_MS = 4000;

/** A topic that another process has just created may not be known to every broker yet. */
const NEWS_MS = 200;

const UNKNOWN = 'UNKNOWN_TOPIC_OR_PARTITION';

type Metadata = Awaited<ReturnType<typeof metadata.async>>;
/** The ids of the leaders, by partition. */
type Leaders = readonly number[];

/**
 * The brokers of a cluster, and which of them leads a partition: asked for once, and again after
 * a broker said that it is no longer so.
 */
export class Cluster implements AsyncDisposable {
  readonly #address: KafkaAddress;
  readonly #security: ReturnType<typeof securityOf>;
  readonly #bootstrap: readonly HostAndPort[];
  readonly #lanes = new Set<Lane>();
  readonly #shared: Lane;
  readonly #topics = new Map<string, Leaders>();
  readonly #expected = new Set<string>();
  #brokers = new Map<number, HostAndPort>();
  #controller = -1;

  private constructor(address: KafkaAddress) {
    this.#address = address;
    this.#security = securityOf(address);
    this.#bootstrap = address.brokers.map(parseBroker);
    this.#shared = this.lane();
  }

  /**
   * Fails without trying again: with `log_unreachable`, `log_login_failed`, `log_refuses`, or
   * `log_unsuitable` when the brokers are too old.
   */
  static async open(address: KafkaAddress): Promise<Cluster> {
    const cluster = new Cluster(address);
    try {
      await cluster.#check();
      await cluster.#ask([]);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw logError(error, {
        brokers: address.brokers,
        // So it ends with a listener that wants TLS or a login, and was given neither.
        ...(isHangUp(error) && { expected: 'the security protocol of this listener' }),
      });
    }
  }

  /** Connections of one's own; they end with the cluster at the latest. */
  lane(requestTimeoutMs = REQUEST_TIMEOUT_MS): Lane {
    const lane = new Lane({
      security: this.#security,
      requestTimeoutMs,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
    });
    this.#lanes.add(lane);
    return lane;
  }

  async close(lane: Lane): Promise<void> {
    this.#lanes.delete(lane);
    await lane[Symbol.asyncDispose]();
  }

  /** One request on the shared lane, without trying again: nothing that waits. */
  call<Arguments extends unknown[], Response>(
    broker: HostAndPort,
    api: API<Arguments, Response>,
    ...args: Arguments
  ): Promise<Response> {
    return this.#shared.call(broker, api, ...args);
  }

  /**
   * What leads the partition, as far as is known. Fails with `topic_missing`, or as a request does
   * that may be repeated.
   */
  async leaderOf({ topic, partition }: TopicPartition): Promise<HostAndPort> {
    for (;;) {
      const leaders = await this.#leaders(topic);
      const leader = leaders[partition];
      if (leader === undefined) {
        throw new MillraceError('topic_missing', { topic, partition, partitions: leaders.length });
      }
      const broker = this.#brokers.get(leader);
      if (broker !== undefined) return broker;
      // It left the cluster after the topic was looked at.
      this.forget(topic);
    }
  }

  /** Fails with `topic_missing`. */
  async partitionsOf(topic: string, signal?: AbortSignal): Promise<number> {
    const leaders = await retried(() => this.#leaders(topic), {
      facts: { ...this.#facts(), topic },
      ...(signal && { signal }),
    });
    return leaders.length;
  }

  /** The leader, or the partition itself, is another than was known. */
  forget(...topics: readonly string[]): void {
    for (const topic of topics) this.#topics.delete(topic);
  }

  /**
   * These exist, as they were just created: a broker that does not know one yet will, and is waited
   * for. So it is with those that were known once, since a broker that starts has to learn them.
   */
  expect(...topics: readonly string[]): void {
    for (const topic of topics) this.#expected.add(topic);
  }

  async broker(id: number): Promise<HostAndPort> {
    if (!this.#brokers.has(id)) await this.#ask([]);
    return this.#brokers.get(id) ?? this.any();
  }

  /** Some broker; any of them tells who coordinates what. */
  any(): HostAndPort {
    const known = [...this.#brokers.values(), ...this.#bootstrap];
    return must(known[Math.floor(Math.random() * known.length)], 'an address has a broker');
  }

  /** The one that creates topics: with ZooKeeper, no other does. */
  async controller(): Promise<HostAndPort> {
    await this.#ask([]);
    return this.broker(this.#controller);
  }

  /** All topics with their partition counts, but those of Kafka itself. */
  async topics(): Promise<readonly Readonly<{ name: string; partitions: number }>[]> {
    const { topics } = await retried(() => this.#ask(null), { facts: this.#facts() });
    return topics
      .filter(({ isInternal, errorCode }) => !isInternal && errorCode === 0)
      .map(({ name, partitions }) => ({
        name: must(name, 'topics are asked for by name'),
        partitions: partitions.length,
      }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#lanes].map((lane) => this.close(lane)));
  }

  async #leaders(topic: string): Promise<Leaders> {
    const known = this.#topics.get(topic);
    if (known !== undefined) return known;
    await this.#ask([topic]);
    if (!this.#topics.has(topic) && !this.#expected.has(topic)) {
      await sleep(NEWS_MS);
      await this.#ask([topic]);
    }
    const leaders = this.#topics.get(topic);
    if (leaders === undefined) {
      if (this.#expected.has(topic)) throw new ProtocolError(UNKNOWN);
      throw new MillraceError('topic_missing', { topic });
    }
    this.#expected.add(topic);
    return leaders;
  }

  /** Null: for all topics. */
  #ask(topics: readonly string[] | null): Promise<Metadata> {
    return this.#firstThatAnswers(async (broker) => {
      try {
        const answer = await this.call(broker, metadata, topics && [...topics], false, false);
        this.#learn(answer);
        return answer;
      } catch (error) {
        // The answer for one topic is an error, and the others are told beside it.
        const answer = metadataIn(error);
        if (answer === undefined) throw error;
        this.#learn(answer);
        if (topics === null || answer.topics.every(isUnknown)) return answer;
        throw error;
      }
    });
  }

  async #firstThatAnswers<T>(ask: (broker: HostAndPort) => Promise<T>): Promise<T> {
    const failures: unknown[] = [];
    for (const broker of this.#inTurn()) {
      try {
        return await ask(broker);
      } catch (error) {
        if (!isPassing(error)) throw error;
        failures.push(error);
      }
    }
    throw failures.length === 1 ? failures[0] : new AggregateError(failures);
  }

  /** Those that are known, in any order, then those that were given. */
  #inTurn(): Iterable<HostAndPort> {
    const all = [...shuffled([...this.#brokers.values()]), ...this.#bootstrap];
    return new Map(all.map((broker) => [`${broker.host}:${broker.port}`, broker])).values();
  }

  #learn({ brokers, controllerId, topics }: Metadata): void {
    this.#brokers = new Map(brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
    this.#controller = controllerId;
    for (const { name, errorCode, partitions } of topics) {
      if (!name || errorCode !== 0) continue;
      const leaders = partitions
        .toSorted((a, b) => a.partitionIndex - b.partitionIndex)
        .map(({ leaderId }) => leaderId);
      if (leaders.every((leader) => this.#brokers.has(leader))) {
        this.#topics.set(name, leaders);
      }
    }
  }

  #check(): Promise<void> {
    return this.#firstThatAnswers(async (broker) => {
      const { apiKeys } = await this.call(broker, apiVersions, 'millrace', '1');
      const missing = REQUIRED.find(({ key, version }) => {
        const spoken = apiKeys.find(({ apiKey }) => apiKey === key);
        return !(spoken && spoken.minVersion <= version && version <= spoken.maxVersion);
      });
      if (missing === undefined) return;
      throw new MillraceError('log_unsuitable', {
        broker: `${broker.host}:${broker.port}`,
        expected: `version ${missing.version} of the request ${missing.key}`,
      });
    });
  }

  #facts(): Record<string, unknown> {
    return { brokers: this.#address.brokers };
  }
}

function metadataIn(error: unknown): Metadata | undefined {
  return error instanceof Error && 'response' in error ? (error.response as Metadata) : undefined;
}

const UNKNOWN_CODE = 3;

function isUnknown({ errorCode }: Metadata['topics'][number]): boolean {
  return errorCode === UNKNOWN_CODE;
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((each) => ({ each, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ each }) => each);
}
