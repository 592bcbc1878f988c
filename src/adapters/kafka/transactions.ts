import type { API } from '@platformatic/kafka';
import { MillraceError } from '../../domain/errors.ts';
import type { Backoff } from '../../lib/backoff.ts';
import type { TopicPartition } from '../../ports/event-log.ts';
import type { HostAndPort } from './address.ts';
import type { Cluster } from './cluster.ts';
import { answersOf, hasAnswer, logError } from './errors.ts';
import type { Lane } from './lane.ts';
import {
  addPartitions,
  describeTransactions,
  endTransaction,
  findCoordinator,
  initProducerId,
} from './protocol.ts';
import type { ProducerIdentity } from './record-batch-writer.ts';
import { retried } from './retry.ts';

/**
 * When a process dies amid a transaction, and no other of its name comes, its records hide those
 * that come after them for so long.
 */
const TRANSACTION_TIMEOUT_MS = 15_000;
const TRANSACTION = 1;

/** What was asked to end is mostly ended by the next round trip. */
const SOON: Backoff = { baseMs: 1, maxMs: 50 };

const ABORTED: ReadonlySet<string> = new Set([
  'PrepareEpochFence',
  'PrepareAbort',
  'CompleteAbort',
]);

const NONE: ProducerIdentity = { id: -1n, epoch: -1 };

/** The transactions of one producer name, as the broker that coordinates them keeps them. */
export class Transactions {
  readonly id: string;
  readonly #cluster: Cluster;
  readonly #lane: Lane;
  #coordinator: HostAndPort | undefined;
  #producer = NONE;

  constructor(cluster: Cluster, lane: Lane, id: string) {
    this.id = id;
    this.#cluster = cluster;
    this.#lane = lane;
  }

  get producer(): ProducerIdentity {
    return this.#producer;
  }

  /** Ends what another producer of this name had begun, and keeps it from beginning again. */
  async takeOver(): Promise<void> {
    // With no identity of its own: one that is told would have to be the latest.
    const { producerId, producerEpoch } = await this.#ask(
      initProducerId,
      this.id,
      TRANSACTION_TIMEOUT_MS,
      NONE.id,
      NONE.epoch,
    );
    this.#producer = { id: producerId, epoch: producerEpoch };
  }

  /**
   * Begins a transaction over these partitions, once the one before has ended everywhere. Fails with
   * `producer_expired` where the coordinator has forgotten a producer that was idle for long.
   */
  async begin(partitions: readonly TopicPartition[]): Promise<void> {
    const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([name, those]) => ({
      name,
      partitions: those.map(({ partition }) => partition),
    }));
    const transaction = {
      transactionalId: this.id,
      producerId: this.#producer.id,
      producerEpoch: this.#producer.epoch,
      verifyOnly: false,
      topics,
    };
    try {
      await this.#ask(addPartitions, [transaction]);
    } catch (error) {
      if (!(error instanceof MillraceError) || !hasAnswer(error, 'INVALID_PRODUCER_ID_MAPPING')) {
        throw error;
      }
      throw new MillraceError('producer_expired', { producer: this.id }, error);
    }
  }

  /**
   * Resolves when it is decided. What was asked for in vain may be asked for again: the same
   * decision of the same transaction is answered alike.
   */
  async commit(): Promise<void> {
    const { id, epoch } = this.#producer;
    await this.#ask(endTransaction, this.id, id, epoch, true);
  }

  /** Never rejects: a transaction that nobody ends does so by its timeout. */
  async abandon(): Promise<void> {
    const { id, epoch } = this.#producer;
    try {
      const coordinator = await this.#coordinatorNow();
      await this.#lane.call(coordinator, endTransaction, this.id, id, epoch, false);
    } catch {
      // Decided already, or another's now, or out of reach.
    }
  }

  /** True once the end of the transaction stands in all its partitions. Asks once. */
  async isComplete(): Promise<boolean> {
    return (await this.#state()) !== 'PrepareCommit';
  }

  /** Of the name's last transaction, whoever began it. */
  async #state(): Promise<string | undefined> {
    try {
      const coordinator = await this.#coordinatorNow();
      const { transactionStates } = await this.#lane.call(coordinator, describeTransactions, [
        this.id,
      ]);
      return transactionStates[0]?.transactionState;
    } catch (error) {
      this.#coordinator = undefined;
      throw error;
    }
  }

  /**
   * Tells a producer that was replaced from one whose transaction took too long: the coordinator
   * ends that, and answers both alike. Only the latest of a name may ask for a new epoch.
   *
   * While a transaction is under way, whoever asks for one ends it, the latest or not: so nothing is
   * asked unless the last of this name was aborted. A successor begins with none, which shows.
   */
  async explain(error: unknown): Promise<unknown> {
    if (!(error instanceof MillraceError) || error.code !== 'producer_fenced') return error;
    const { id, epoch } = this.#producer;
    try {
      if (!ABORTED.has((await this.#state()) ?? '')) return error;
      await this.#ask(initProducerId, this.id, TRANSACTION_TIMEOUT_MS, id, epoch);
    } catch {
      return error;
    }
    return new MillraceError(
      'log_unreachable',
      {
        producer: this.id,
        found: `a transaction that took more than ${TRANSACTION_TIMEOUT_MS} ms`,
      },
      error,
    );
  }

  #ask<Arguments extends unknown[], Response>(
    api: API<Arguments, Response>,
    ...args: Arguments
  ): Promise<Response> {
    return retried(
      async () => {
        try {
          return await this.#lane.call(await this.#coordinatorNow(), api, ...args);
        } catch (error) {
          const isWaiting = answersOf(error).includes('CONCURRENT_TRANSACTIONS');
          if (!isWaiting) this.#coordinator = undefined;
          throw error;
        }
      },
      { facts: { producer: this.id }, backoff: SOON },
    );
  }

  async #coordinatorNow(): Promise<HostAndPort> {
    if (this.#coordinator !== undefined) return this.#coordinator;
    const { coordinators } = await this.#lane.call(
      this.#cluster.any(),
      findCoordinator,
      TRANSACTION,
      [this.id],
    );
    const [found] = coordinators;
    if (found === undefined) throw logError(new Error('no coordinator'), { producer: this.id });
    this.#coordinator = { host: found.host, port: found.port };
    return this.#coordinator;
  }
}
