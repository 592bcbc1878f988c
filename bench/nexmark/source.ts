import type { Sources, Stream } from '../../src/index.ts';
import { type Bid, isBid, type NexmarkEvent, timeOf } from './event.ts';

/** One topic of one partition holds all events, without keys, as Flink's Kafka source has them. */
export const TOPIC = 'nexmark';

/** So far behind the latest event the official source has its watermark. */
export const GRACE_MS = 4000;

export function eventsOf({ topic }: Pick<Sources, 'topic'>): Stream<string | null, NexmarkEvent> {
  return topic<NexmarkEvent>(TOPIC, { timeMs: timeOf });
}

export function bidsOf(sources: Pick<Sources, 'topic'>): Stream<string | null, Bid> {
  return eventsOf(sources)
    .filter(isBid)
    .map(({ bid }) => bid);
}
