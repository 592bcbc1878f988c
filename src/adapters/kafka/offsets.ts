import type { TopicPartition } from '../../ports/event-log.ts';
import type { Cluster } from './cluster.ts';
import { listOffsets } from './protocol.ts';
import { retried } from './retry.ts';

// https://kafka.apache.org/protocol#The_Messages_ListOffsets
const LATEST = -1n;
const EARLIEST = -2n;
const CONSUMER = -1;
const UNCOMMITTED = 0;
const COMMITTED = 1;
const UNKNOWN_EPOCH = -1;

/** The oldest offset that retention left. */
export function startOf(cluster: Cluster, partition: TopicPartition): Promise<number> {
  return offsetFor(cluster, partition, EARLIEST, COMMITTED);
}

/** The last stable offset: readers come as far as that. */
export function endOf(cluster: Cluster, partition: TopicPartition): Promise<number> {
  return offsetFor(cluster, partition, LATEST, COMMITTED);
}

/** Behind all that is stored, whether its transaction has ended or not. */
export function uncommittedEndOf(cluster: Cluster, partition: TopicPartition): Promise<number> {
  return offsetFor(cluster, partition, LATEST, UNCOMMITTED);
}

/** The last stable offsets of several partitions, one request a broker, by `topic/partition`. */
export async function endsOf(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
): Promise<ReadonlyMap<string, number>> {
  const led = await Promise.all(
    partitions.map(async (partition) => ({
      partition,
      leader: await cluster.leaderOf(partition),
    })),
  );
  const answers = await Promise.all(
    [...Map.groupBy(led, ({ leader }) => leader)].map(([leader, those]) => {
      const topics = [...Map.groupBy(those, ({ partition }) => partition.topic)];
      return cluster.call(
        leader,
        listOffsets,
        CONSUMER,
        COMMITTED,
        topics.map(([name, ofTopic]) => ({
          name,
          partitions: ofTopic.map(({ partition: { partition } }) => ({
            partitionIndex: partition,
            currentLeaderEpoch: UNKNOWN_EPOCH,
            timestamp: LATEST,
          })),
        })),
      );
    }),
  );
  return new Map(
    answers.flatMap(({ topics }) =>
      topics.flatMap(({ name, partitions: ends }) =>
        ends.map(({ partitionIndex, offset }) => [`${name}/${partitionIndex}`, Number(offset)]),
      ),
    ),
  );
}

/** Undefined when nothing is as late. What ends a transaction counts, and has the time of its end. */
export async function firstSince(
  cluster: Cluster,
  partition: TopicPartition,
  timestampMs: number,
): Promise<number | undefined> {
  const timestamp = BigInt(Math.max(0, Math.ceil(timestampMs)));
  const offset = await offsetFor(cluster, partition, timestamp, COMMITTED);
  return offset < 0 ? undefined : offset;
}

function offsetFor(
  cluster: Cluster,
  { topic, partition }: TopicPartition,
  timestamp: bigint,
  isolation: 0 | 1,
): Promise<number> {
  const wanted = { partitionIndex: partition, currentLeaderEpoch: UNKNOWN_EPOCH, timestamp };
  return retried(
    async () => {
      const leader = await cluster.leaderOf({ topic, partition });
      const { topics } = await cluster.call(leader, listOffsets, CONSUMER, isolation, [
        { name: topic, partitions: [wanted] },
      ]);
      return Number(topics[0]?.partitions[0]?.offset);
    },
    { facts: { topic, partition }, forget: () => cluster.forget(topic) },
  );
}
