import type { LogRecord } from '../domain/record-block.ts';
import type { EventLog, TopicPartition } from './event-log.ts';

/**
 * The records from an offset on that stand before `end`, which `offsets` told; ends there, or
 * when `signal` aborts.
 */
export async function* readTo(
  log: EventLog,
  from: TopicPartition & { offset: number },
  end: number,
  signal: AbortSignal,
): AsyncGenerator<readonly LogRecord[], void> {
  if (from.offset >= end) return;
  for await (const { records, next } of log.read(from, signal)) {
    const wanted = next > end ? records.filter(({ offset }) => offset < end) : records;
    if (wanted.length > 0) yield wanted;
    if (next >= end) return;
  }
}
