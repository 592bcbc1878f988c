import type { Cluster } from './cluster.ts';
import type { Lane } from './lane.ts';
import { startOf, uncommittedEndOf } from './offsets.ts';
import { fetchedThere } from './partition-reader.ts';
import { batchesOf, decodeBatch } from './record-batch-reader.ts';

/** A record a producer, its key the name, its value the position; in the transaction of the append. */
export const POSITIONS = { topic: 'millrace.positions', partition: 0 } as const;

/**
 * The position that this producer stored last, by a transaction that was committed.
 *
 * Read up to what is stored, not only to what is stable: the transaction of any other producer may
 * be open, for as long as its timeout when that one died, and hides what comes after it from
 * those who read committed records only. So the ends of transactions are told apart here.
 */
export async function positionIn(cluster: Cluster, producer: string): Promise<string | undefined> {
  const lane = cluster.lane();
  try {
    return await search(cluster, lane, producer);
  } finally {
    await cluster.close(lane);
  }
}

async function search(cluster: Cluster, lane: Lane, producer: string): Promise<string | undefined> {
  const end = await uncommittedEndOf(cluster, POSITIONS);
  const open = new Map<bigint, string>();
  let position: string | undefined;
  for (let next = await startOf(cluster, POSITIONS); next < end;) {
    const { bytes } = await fetchedThere(cluster, lane, {
      ...POSITIONS,
      offset: next,
      isolation: 'uncommitted',
    });
    for (const batch of batchesOf(bytes)) {
      const from = next;
      next = batch.nextOffset;
      if (batch.ends !== undefined) {
        if (batch.ends === 'commit') position = open.get(batch.producerId) ?? position;
        open.delete(batch.producerId);
        continue;
      }
      for (const { key, value } of decodeBatch(batch, from)) {
        if (key === null || value === null || text(key) !== producer) continue;
        open.set(batch.producerId, text(value));
      }
    }
  }
  return position;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}
