import { blocksOf, type LogRecord } from '../../domain/record-block.ts';
import { must } from '../../lib/must.ts';
import type { TopicDeclaration, TopicPartition } from '../../ports/event-log.ts';
import type { LogRecords } from './log-records.ts';
import type { LogSegment } from './log-segment.ts';

const KEPT_BLOCK_BYTES = 256 * 1024;

/**
 * Writes into a new segment what must outlive those before it: topics, producers, where each
 * partition ends, and of compacted topics the newest record of each key, at its own offset.
 *
 * A tombstone older than `tombstonesFromMs` has had its time to be read, and goes with its key.
 */
export function carryForward(from: LogSegment, to: LogSegment, tombstonesFromMs: number): void {
  for (const topic of from.topics()) {
    to.putTopic(topic);
    for (const partition of partitionsOf(topic)) {
      to.records.continue(partition, from.records.end(partition));
      if (topic.cleanup === 'compact')
        compact(from.records, to.records, partition, tombstonesFromMs);
    }
  }
  for (const [name, state] of from.producers()) to.putProducer(name, state);
}

export function partitionsOf({ name, partitions }: TopicDeclaration): TopicPartition[] {
  return Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition }));
}

function compact(
  from: LogRecords,
  to: LogRecords,
  partition: TopicPartition,
  tombstonesFromMs: number,
): void {
  const newest = new Map<string, LogRecord>();
  for (const record of recordsOf(from, partition)) {
    if (record.key === null) continue;
    const key = Buffer.from(record.key).toString('latin1');
    newest.delete(key);
    if (record.value !== null || record.timestampMs >= tombstonesFromMs) newest.set(key, record);
  }
  let chunk: LogRecord[] = [];
  let size = 0;
  const flush = (): void => {
    if (chunk.length === 0) return;
    const [block] = blocksOf(chunk.map((record) => ({ ...partition, record })));
    to.keep(
      chunk.map(({ offset }) => offset),
      must(block, 'a block of at least one record'),
    );
    chunk = [];
    size = 0;
  };
  for (const record of newest.values()) {
    chunk.push(record);
    size += (record.key?.length ?? 0) + (record.value?.length ?? 0);
    if (size >= KEPT_BLOCK_BYTES) flush();
  }
  flush();
}

function* recordsOf(from: LogRecords, partition: TopicPartition): Generator<LogRecord> {
  for (const kind of ['kept', 'blocks'] as const) {
    let next = 0;
    for (;;) {
      const records = from[kind](partition, next);
      const last = records.at(-1);
      if (last === undefined) break;
      yield* records;
      next = last.offset + 1;
    }
  }
}
