import { captureProducer } from '../../capture/native-connector.ts';
import { topicName } from '../../capture/relation-registry.ts';
import { parsePosition } from '../../domain/position.ts';
import type { CopiesLeft } from '../../batch/lake/writer/incomplete.ts';
import type { EventLog } from '../../ports/event-log.ts';

/**
 * Tells which tables are still to be copied. It stands in the native connector's position, which the
 * log takes in together with the rows: a table that is no longer there has all its rows in the log.
 * Undefined where no native connector has stored a position yet.
 *
 * In Kafka, a transaction's records can be read a moment after its position is found: there, what was
 * left counts as left for `settleMs` more.
 */
export function copiesLeftIn(
  log: Pick<EventLog, 'positionOf'>,
  connector: string,
  topicPrefix: string,
  settleMs: number,
): () => Promise<CopiesLeft | undefined> {
  const lastLeftMs = new Map<string, number>();
  return async () => {
    const stored = await log.positionOf(captureProducer(connector));
    if (stored === undefined) return undefined;
    const { end, copy = [] } = parsePosition(stored);
    // The slot is yet to be created, and all tables are then copied.
    if (end === undefined) return 'all';
    const nowMs = performance.now();
    for (const [topic, ms] of lastLeftMs) if (nowMs - ms >= settleMs) lastLeftMs.delete(topic);
    for (const { schema, name } of copy)
      lastLeftMs.set(topicName(topicPrefix, schema, name), nowMs);
    return new Set(lastLeftMs.keys());
  };
}
