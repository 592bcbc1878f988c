import { randomUUID } from 'node:crypto';
import { blocksOf, type LogRecord } from '../../domain/record-block.ts';
import { must } from '../../lib/must.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { readTo } from '../../ports/read-to.ts';
import { FIRST } from './generation.ts';

/**
 * An operator's wish that a processor's results are built anew. The last one of a processor counts,
 * for ever: whoever runs it finds it in a compacted topic, also after a restart, and with
 * a store that has lost everything.
 */
export type RebuildRequest = Readonly<{
  /** Counted by where the wish stands in the topic, so that no two are the same. */
  generation: number;
  /** Where its tasks begin, by `topic-partition`; others at the start of the log. */
  from: Readonly<Record<string, number>>;
}>;

type Stored = Readonly<{ id: string; from: RebuildRequest['from'] }>;

/** Returns which generation it will be, once the wish is durable. */
export async function requestRebuild(
  log: EventLog,
  topic: string,
  {
    processor,
    from,
    nowMs,
  }: Readonly<{ processor: string; from: RebuildRequest['from']; nowMs: number }>,
): Promise<number> {
  const id = randomUUID();
  const producer = await log.openProducer(`rebuild ${id}`);
  try {
    const record = {
      timestampMs: nowMs,
      key: Buffer.from(processor),
      value: Buffer.from(JSON.stringify({ id, from } satisfies Stored)),
      headers: [],
    };
    await producer.append(blocksOf([{ topic, partition: 0, record }]));
  } finally {
    await producer.close();
  }
  const { found } = await requestsIn(log, topic, processor);
  return generationAt(must(found.find((each) => each.id === id)?.offset, 'it was appended'));
}

/** The last one, if any, and where later ones will be. */
export async function lastRequest(
  log: EventLog,
  topic: string,
  processor: string,
): Promise<Readonly<{ request: RebuildRequest | undefined; next: number }>> {
  const { found, next } = await requestsIn(log, topic, processor);
  const last = found.at(-1);
  return { request: last && { generation: generationAt(last.offset), from: last.from }, next };
}

/** Those from `offset` on, until `signal` aborts. */
export async function* followRequests(
  log: EventLog,
  { topic, processor, offset }: Readonly<{ topic: string; processor: string; offset: number }>,
  signal: AbortSignal,
): AsyncGenerator<RebuildRequest, void> {
  for await (const { records } of log.read({ topic, partition: 0, offset }, signal)) {
    for (const { from, offset: at } of requestsOf(records, processor))
      yield { generation: generationAt(at), from };
  }
}

async function requestsIn(
  log: EventLog,
  topic: string,
  processor: string,
): Promise<{ found: (Stored & { offset: number })[]; next: number }> {
  const { start, end } = await log.offsets({ topic, partition: 0 });
  const found: (Stored & { offset: number })[] = [];
  const { signal } = new AbortController();
  for await (const records of readTo(log, { topic, partition: 0, offset: start }, end, signal))
    found.push(...requestsOf(records, processor));
  return { found, next: end };
}

function requestsOf(
  records: readonly LogRecord[],
  processor: string,
): (Stored & { offset: number })[] {
  return records.flatMap(({ key, value, offset }) => {
    if (key === null || value === null || textOf(key) !== processor) return [];
    return [{ ...(JSON.parse(textOf(value)) as Stored), offset }];
  });
}

function generationAt(offset: number): number {
  return FIRST + 1 + offset;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}
