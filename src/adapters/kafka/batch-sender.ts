import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import type { RecordBlock } from '../../domain/record-block.ts';
import type { TopicPartition } from '../../ports/event-log.ts';
import type { HostAndPort } from './address.ts';
import type { Cluster } from './cluster.ts';
import { answersOf, isPassing, logError } from './errors.ts';
import type { Lane } from './lane.ts';
import type { PartitionBatch } from './produce-request.ts';
import { produce } from './protocol.ts';
import { draftBatches, type DraftBatch, recordsOf, sealBatch } from './record-batch-writer.ts';
import { retried } from './retry.ts';
import { SpareBuffers } from './spare-buffers.ts';
import type { Transactions } from './transactions.ts';

/** Below the least that brokers take by default, 1 MiB, also where the records do not compress. */
const BATCH_BYTES = 1_000_000;

/** Under it, compression costs more than it saves. */
const COMPRESS_FROM_BYTES = 2048;
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** A broker keeps as many batches of a producer apart, to know what it was sent twice. */
const MOST_UNDER_WAY = 4;
const ACK_TIMEOUT_MS = 6000;
const SEQUENCES = 2 ** 31;

const compress = promisify(zstdCompress);

/** A batch that was sent, or will be. */
type Parcel = PartitionBatch & { readonly count: number; offset: number | undefined };

/** Where the records of a partition end, by `topic/partition`. */
export type Sent = ReadonlyMap<string, TopicPartition & Readonly<{ end: number }>>;

/**
 * Sends the records of a producer, each partition's in order and once: batches have sequence
 * numbers, by which a broker tells what it has from what is missing, so what got no answer is sent
 * again.
 */
export class BatchSender {
  readonly #cluster: Cluster;
  readonly #lane: Lane;
  readonly #transactions: Transactions;
  readonly #buffers = new SpareBuffers(BATCH_BYTES);
  readonly #sequences = new Map<string, number>();

  constructor(cluster: Cluster, lane: Lane, transactions: Transactions) {
    this.#cluster = cluster;
    this.#lane = lane;
    this.#transactions = transactions;
  }

  /** Resolves once all is stored. While one batch of a partition is sent, the next is compressed. */
  async send(blocks: readonly RecordBlock[]): Promise<Sent> {
    const drafts = [...Map.groupBy(blocks, nameOf).values()].map((those) => ({
      partition: those[0] as TopicPartition,
      drafts: draftBatches(
        those.map(({ bytes }) => bytes),
        this.#buffers,
      ),
    }));
    const parcels: Parcel[] = [];
    const underWay: Promise<unknown>[] = [];
    const failures: unknown[] = [];
    for (;;) {
      const round = drafts.flatMap(({ partition, drafts: left }) => {
        const { value } = left.next();
        return value === undefined ? [] : [{ partition, draft: value }];
      });
      if (round.length === 0) break;
      const sealed = await this.#seal(round);
      parcels.push(...sealed);
      // Behind a batch that failed none is in sequence: those are sent below.
      if (failures.length > 0) continue;
      if (underWay.length >= MOST_UNDER_WAY) await underWay.shift();
      underWay.push(this.#post(sealed).catch((error: unknown) => failures.push(error)));
    }
    await Promise.all(underWay);
    const grave = failures.find((error) => !isPassing(error) && !isConsequence(error));
    if (grave !== undefined) throw logError(grave, this.#facts(parcels));
    for (const parcel of parcels) if (parcel.offset === undefined) await this.#postAgain(parcel);
    return endsOf(parcels);
  }

  #seal(
    round: readonly Readonly<{ partition: TopicPartition; draft: DraftBatch }>[],
  ): Promise<Parcel[]> {
    return Promise.all(
      round.map(async ({ partition: { topic, partition }, draft }) => {
        const name = nameOf({ topic, partition });
        const sequence = this.#sequences.get(name) ?? 0;
        this.#sequences.set(name, (sequence + draft.count) % SEQUENCES);
        const records = recordsOf(draft);
        const compressed =
          records.length < COMPRESS_FROM_BYTES ? undefined : await compress(records, LEVEL);
        const batch = sealBatch(draft, compressed, this.#transactions.producer, sequence);
        if (batch !== draft.bytes) this.#buffers.give(draft.bytes);
        return { topic, partition, batch, count: draft.count, offset: undefined };
      }),
    );
  }

  /** One request a broker. */
  async #post(parcels: readonly Parcel[]): Promise<void> {
    const led = await Promise.all(
      parcels.map(async (parcel) => ({ parcel, leader: await this.#cluster.leaderOf(parcel) })),
    );
    const outcomes = await Promise.allSettled(
      [...Map.groupBy(led, ({ leader }) => leader)].map(([leader, those]) =>
        this.#produce(
          leader,
          those.map(({ parcel }) => parcel),
        ),
      ),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #postAgain(parcel: Parcel): Promise<void> {
    const { topic } = parcel;
    await retried(async () => this.#produce(await this.#cluster.leaderOf(parcel), [parcel]), {
      facts: this.#facts([parcel]),
      forget: () => this.#cluster.forget(topic),
    });
  }

  async #produce(leader: HostAndPort, parcels: readonly Parcel[]): Promise<void> {
    try {
      note(
        parcels,
        await this.#lane.call(leader, produce, this.#transactions.id, ACK_TIMEOUT_MS, parcels),
      );
    } catch (error) {
      // Of several partitions, some may have been stored.
      if (error instanceof Error && 'response' in error) note(parcels, error.response as Produced);
      throw error;
    }
  }

  #facts(parcels: readonly Parcel[]): Record<string, unknown> {
    const topics = [...new Set(parcels.map(({ topic }) => topic))];
    const largest = Math.max(...parcels.map(({ batch }) => batch.length));
    return { producer: this.#transactions.id, topics, largestBatchBytes: largest };
  }
}

type Produced = Awaited<ReturnType<typeof produce.async>>;

const STORED = 0;

function note(parcels: readonly Parcel[], { responses }: Produced): void {
  for (const { name, partitionResponses } of responses) {
    for (const { index, errorCode, baseOffset } of partitionResponses) {
      if (errorCode !== STORED) continue;
      const parcel = parcels.find(({ topic, partition }) => topic === name && partition === index);
      if (parcel !== undefined) parcel.offset = Number(baseOffset);
    }
  }
}

/** Batches behind one that failed are not in sequence. */
function isConsequence(error: unknown): boolean {
  const answers = answersOf(error);
  return answers.length > 0 && answers.every((name) => name === 'OUT_OF_ORDER_SEQUENCE_NUMBER');
}

function endsOf(parcels: readonly Parcel[]): Sent {
  return new Map(
    parcels.map(({ topic, partition, offset = 0, count }) => [
      nameOf({ topic, partition }),
      { topic, partition, end: offset + count },
    ]),
  );
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
