import type { TopicPartition } from '../../ports/event-log.ts';
import type { Cluster } from './cluster.ts';
import type { Lane } from './lane.ts';
import { uncommittedEndOf } from './offsets.ts';
import { fetchedThere } from './partition-reader.ts';
import { type Batch, batchesOf } from './record-batch-reader.ts';

/**
 * How the transaction of a producer ended that has records before `end` in this partition, by what
 * stands behind them; undefined while it has not.
 */
export async function transactionEnd(
  cluster: Cluster,
  lane: Lane,
  { topic, partition, end }: TopicPartition & { end: number },
  producerId: bigint,
): Promise<Batch['ends']> {
  const stored = await uncommittedEndOf(cluster, { topic, partition });
  for (let next = end; next < stored;) {
    const { bytes } = await fetchedThere(cluster, lane, {
      topic,
      partition,
      offset: next,
      isolation: 'uncommitted',
    });
    for (const batch of batchesOf(bytes)) {
      next = batch.nextOffset;
      if (batch.ends !== undefined && batch.producerId === producerId) return batch.ends;
    }
  }
  return undefined;
}
