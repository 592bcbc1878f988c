import type { TopicPartition } from '../../ports/event-log.ts';
import type { Cluster } from './cluster.ts';
import { endOf, firstSince } from './offsets.ts';
import { committed, fetchedThere } from './partition-reader.ts';
import { decodeBatch } from './record-batch-reader.ts';

/**
 * The offset of the first record whose timestamp is at or after `timestampMs`, else the end.
 *
 * To the broker, what ends a transaction is a record with the time of its end; so its answer may be
 * too early, and the search goes on from there, by the latest timestamp that each batch names.
 */
export async function offsetSince(
  cluster: Cluster,
  partition: TopicPartition,
  timestampMs: number,
): Promise<number> {
  const end = await endOf(cluster, partition);
  const first = await firstSince(cluster, partition, timestampMs);
  const lane = cluster.lane();
  try {
    for (let next = first ?? end; next < end;) {
      const answer = await fetchedThere(cluster, lane, {
        ...partition,
        offset: next,
        isolation: 'committed',
      });
      for (const { batch, isAborted } of committed(answer)) {
        const from = next;
        next = batch.nextOffset;
        if (isAborted || batch.maxTimestampMs < timestampMs) continue;
        const found = decodeBatch(batch, from).find((each) => each.timestampMs >= timestampMs);
        if (found !== undefined) return found.offset;
      }
    }
    return end;
  } finally {
    await cluster.close(lane);
  }
}
