import { decodeChange } from '../../domain/envelope.ts';
import { TransactionSnapshot } from '../../domain/transaction-snapshot.ts';
import type { EventLog, TopicPartition } from '../../ports/event-log.ts';
import { readTo } from '../../ports/read-to.ts';
import { idOf, type Places } from './processor-partitions.ts';

/**
 * Of each partition, the offset of the first record that the snapshot does not see, else the end.
 * The processors rest at `held`, from before the snapshot, so that all before it is in it.
 */
export async function findTargets(
  log: EventLog,
  processors: ReadonlyMap<string, readonly TopicPartition[]>,
  held: ReadonlyMap<string, Places>,
  visible: string,
  signal: AbortSignal,
): Promise<Places> {
  const snapshot = new TransactionSnapshot(visible);
  const partitions = new Map([...processors.values()].flat().map((each) => [idOf(each), each]));
  const targets: Record<string, number> = {};
  for (const [id, partition] of partitions) {
    const { start, end } = await log.offsets(partition);
    // A shared topic may have several processors: from the one that is least far.
    const from = Math.min(...[...held.values()].map((places) => places[id] ?? Infinity));
    const offset = Number.isFinite(from) ? Math.max(from, start) : start;
    targets[id] = await firstUnseen(log, { ...partition, offset }, end, snapshot, signal);
  }
  return targets;
}

async function firstUnseen(
  log: EventLog,
  from: TopicPartition & { offset: number },
  end: number,
  snapshot: TransactionSnapshot,
  signal: AbortSignal,
): Promise<number> {
  for await (const records of readTo(log, from, end, signal)) {
    for (const record of records) {
      const change = changeOf(from.topic, from.partition, record);
      const xid = change?.op === 'r' ? undefined : change?.source.txId;
      if (xid !== undefined && xid !== null && !snapshot.sees(xid)) return record.offset;
    }
  }
  signal.throwIfAborted();
  return Math.max(from.offset, end);
}

/** A record that is no change is a dead letter, wherever the processor rests. */
function changeOf(...[topic, partition, record]: Parameters<typeof decodeChange>) {
  try {
    return decodeChange(topic, partition, record);
  } catch {
    return undefined;
  }
}
