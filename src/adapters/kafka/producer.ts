import { setTimeout as sleep } from 'node:timers/promises';
import { MillraceError } from '../../domain/errors.ts';
import { blocksOf, type RecordBlock } from '../../domain/record-block.ts';
import type { Producer, TopicPartition } from '../../ports/event-log.ts';
import { BatchSender, type Sent } from './batch-sender.ts';
import type { Cluster } from './cluster.ts';
import { answersOf } from './errors.ts';
import type { Lane } from './lane.ts';
import { endsOf } from './offsets.ts';
import { positionIn, POSITIONS } from './positions.ts';
import { retried } from './retry.ts';
import { transactionEnd } from './transaction-end.ts';
import { Transactions } from './transactions.ts';
import { within } from './within.ts';

/** A transaction has at most about this much, unless a single append has more. */
const TRANSACTION_BYTES = 8_388_608;

/** How long an append waits for the transactions of others that hide its records from readers. */
const READABLE_WITHIN_MS = 30_000;

const CLOSE_MS = 3000;

type Append = Readonly<{
  blocks: readonly RecordBlock[];
  position: string | undefined;
  settle: PromiseWithResolvers<void>;
}>;

type Transaction = { isComplete: boolean };

/**
 * Every append is a transaction, or shares one with others that waited at the same time; the
 * position is a record of it. While one is being made visible to readers, the next begins.
 *
 * An append that rejects with `log_unreachable` while it was decided on may have been committed: the
 * position, when the producer is opened again, tells.
 */
export class KafkaProducer implements Producer {
  readonly #name: string;
  readonly #cluster: Cluster;
  readonly #lane: Lane;
  readonly #transactions: Transactions;
  readonly #sender: BatchSender;
  readonly #onClosed: () => void;
  readonly #waiting: Append[] = [];
  #position: string | undefined;
  #running: Promise<void> | undefined;
  /** Appends that are committed resolve one after the other. */
  #settled = Promise.resolve();
  #latest: Transaction = { isComplete: true };
  #failure: { error: unknown } | undefined;
  #isClosed = false;

  private constructor(name: string, cluster: Cluster, lane: Lane, onClosed: () => void) {
    this.#name = name;
    this.#onClosed = onClosed;
    this.#cluster = cluster;
    this.#lane = lane;
    this.#transactions = new Transactions(cluster, lane, `millrace/${name}`);
    this.#sender = new BatchSender(cluster, lane, this.#transactions);
  }

  static async open(cluster: Cluster, name: string, onClosed: () => void): Promise<KafkaProducer> {
    const lane = cluster.lane();
    try {
      const producer = new KafkaProducer(name, cluster, lane, onClosed);
      await producer.#transactions.takeOver();
      producer.#position = await positionIn(cluster, name);
      return producer;
    } catch (error) {
      await cluster.close(lane);
      throw error;
    }
  }

  get position(): string | undefined {
    return this.#position;
  }

  async append(blocks: readonly RecordBlock[], position?: string): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    const settle = Promise.withResolvers<void>();
    this.#waiting.push({ blocks: blocks.filter(({ count }) => count > 0), position, settle });
    this.#running ??= this.#run();
    await settle.promise;
  }

  /** Waits for what is under way, but not for brokers that are out of reach: those appends fail. */
  async close(): Promise<void> {
    await within(
      CLOSE_MS,
      (async () => {
        await this.#running;
        await this.#settled;
      })(),
    );
    this.#failure ??= { error: new Error(`the producer ${this.#name} was closed`) };
    this.#isClosed = true;
    await this.#cluster.close(this.#lane);
    await this.#running;
    this.#onClosed();
  }

  /** Never rejects. Ends when nothing waits. */
  async #run(): Promise<void> {
    // What is appended in the same turn shares the transaction.
    await Promise.resolve();
    while (this.#waiting.length > 0 && this.#failure === undefined) {
      let group: readonly Append[] = this.#waiting.slice(0, 1);
      try {
        group = await this.#nextGroup();
        this.#waiting.splice(0, group.length);
        await this.#transact(group);
      } catch (error) {
        await this.#fail(error, group);
      }
    }
    // Those that came while it was being closed.
    for (const { settle } of this.#waiting.splice(0)) settle.reject(this.#failure?.error);
    this.#running = undefined;
  }

  /** Those that wait, as far as they are within bounds and name partitions that exist. */
  async #nextGroup(): Promise<readonly Append[]> {
    const group: Append[] = [];
    let bytes = 0;
    for (const append of this.#waiting.slice()) {
      bytes += append.blocks.reduce((sum, block) => sum + block.bytes.length, 0);
      if (group.length > 0 && bytes > TRANSACTION_BYTES) break;
      try {
        for (const block of append.blocks) await this.#check(block);
      } catch (error) {
        if (group.length === 0) throw error;
        break;
      }
      group.push(append);
    }
    return group;
  }

  /** Fails with `topic_missing`, before anything is begun. */
  async #check({ topic, partition }: TopicPartition): Promise<void> {
    const facts = { producer: this.#name, topic, partition };
    await retried(() => this.#cluster.leaderOf({ topic, partition }), { facts });
  }

  async #transact(group: readonly Append[]): Promise<void> {
    const position = group.findLast((append) => append.position !== undefined)?.position;
    const blocks = group.flatMap((append) => append.blocks);
    if (position !== undefined) blocks.push(...this.#positionBlocks(position));
    if (blocks.length === 0) return this.#settleAfter(async () => resolveAll(group));
    const partitions = new Map(
      blocks.map(({ topic, partition }) => [`${topic}/${partition}`, { topic, partition }]),
    );
    await this.#transactions.begin([...partitions.values()]);
    this.#latest.isComplete = true;
    const sent = await this.#sender.send(blocks);
    await this.#commit(sent);
    const transaction = (this.#latest = { isComplete: false });
    this.#settleAfter(async () => {
      await this.#readable(transaction, sent);
      if (position !== undefined) this.#position = position;
      resolveAll(group);
    });
  }

  /**
   * The answer to a commit may be lost, and by the time it is asked for again another producer have
   * taken over: then the log itself tells what was decided.
   */
  async #commit(sent: Sent): Promise<void> {
    try {
      await this.#transactions.commit();
    } catch (error) {
      const [partition] = sent.values();
      const wasAnswered = error instanceof MillraceError && answersOf(error.cause).length > 0;
      if (!wasAnswered || partition === undefined) throw error;
      const { id } = this.#transactions.producer;
      const end = await transactionEnd(this.#cluster, this.#lane, partition, id);
      if (end !== 'commit') throw error;
    }
  }

  #positionBlocks(position: string): RecordBlock[] {
    const record = {
      key: Buffer.from(this.#name),
      value: Buffer.from(position),
      timestampMs: Date.now(),
      headers: [],
    };
    return blocksOf([{ ...POSITIONS, record }]);
  }

  #settleAfter(then: () => Promise<void>): void {
    this.#settled = this.#settled.then(then);
  }

  /**
   * A commit is decided before the records can be read: its end must come to each partition, and
   * transactions of others that began before must end. Never rejects: the append is durable.
   */
  async #readable(transaction: Transaction, sent: Sent): Promise<void> {
    const until = performance.now() + READABLE_WITHIN_MS;
    const hidden = new Map(sent);
    hidden.delete(`${POSITIONS.topic}/${POSITIONS.partition}`);
    const isPatient = (): boolean => performance.now() < until && !this.#isClosed;
    for (let delayMs = 1; isPatient(); delayMs = Math.min(50, delayMs * 2)) {
      try {
        const [isComplete, ends] = await Promise.all([
          transaction.isComplete || this.#transactions.isComplete(),
          this.#ends([...hidden.values()]),
        ]);
        transaction.isComplete ||= isComplete;
        for (const [name, { end }] of hidden) if ((ends.get(name) ?? 0) >= end) hidden.delete(name);
        if (transaction.isComplete && hidden.size === 0) return;
      } catch {
        this.#cluster.forget(...[...hidden.values()].map(({ topic }) => topic));
      }
      await sleep(delayMs);
    }
  }

  async #ends(partitions: readonly TopicPartition[]): Promise<ReadonlyMap<string, number>> {
    return partitions.length === 0 ? new Map() : endsOf(this.#cluster, partitions);
  }

  async #fail(error: unknown, group: readonly Append[]): Promise<void> {
    const explained = this.#isClosed
      ? this.#cutOff(error)
      : await this.#transactions.explain(error);
    this.#failure = { error: explained };
    const rest = this.#waiting.splice(0);
    for (const { settle } of new Set([...group, ...rest])) settle.reject(explained);
    // Or its records would hide those of others until its timeout.
    this.#settleAfter(() => this.#transactions.abandon());
  }

  #cutOff(error: unknown): unknown {
    if (error instanceof MillraceError) return error;
    const facts = { producer: this.#name, found: 'no answer before the producer was closed' };
    return new MillraceError('log_unreachable', facts, error);
  }
}

function resolveAll(group: readonly Append[]): void {
  for (const { settle } of group) settle.resolve();
}
