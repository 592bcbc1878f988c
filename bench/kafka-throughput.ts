import type { PostgresClient } from '../src/adapters/postgres/client.ts';
import type { EventLog } from '../src/ports/event-log.ts';
import { readTo } from '../src/ports/read-to.ts';
import { topicOf, type Engine } from './kafka-engines.ts';
import { lookUntil } from './look-until.ts';
import { slotIsActive } from './source.ts';

/** Behind the last record stand a few transaction markers at most. */
const AT_THE_END = 10;

/**
 * Seconds from the moment in which the server streams the slot until the row that was inserted last
 * can be read, read-committed. Throws unless the topic then holds a record for each row.
 */
export async function secondsToDrain(
  engine: Engine,
  slot: string,
  { rows, lastId }: Readonly<{ rows: number; lastId: number }>,
  { client, log }: Readonly<{ client: PostgresClient; log: EventLog }>,
): Promise<number> {
  const running = await engine.start(slot);
  try {
    await lookUntil(`${engine.name} streams`, () => slotIsActive(client, slot));
    const startedMs = performance.now();
    const topic = topicOf(slot);
    await lookUntil(`${engine.name} is done`, () => endsWith(log, topic, lastId));
    const seconds = (performance.now() - startedMs) / 1000;
    const found = await countOf(log, topic);
    if (found !== rows) throw new Error(`${topic} holds ${found} records, expected ${rows}`);
    return seconds;
  } finally {
    await running[Symbol.asyncDispose]();
  }
}

async function endsWith(log: EventLog, topic: string, id: number): Promise<boolean> {
  const { start, end } = await log.offsets({ topic, partition: 0 });
  const from = { topic, partition: 0, offset: Math.max(start, end - AT_THE_END) };
  for await (const records of readTo(log, from, end, new AbortController().signal))
    for (const { value } of records) if (idOf(value) === id) return true;
  return false;
}

async function countOf(log: EventLog, topic: string): Promise<number> {
  const { start, end } = await log.offsets({ topic, partition: 0 });
  const from = { topic, partition: 0, offset: start };
  let count = 0;
  for await (const records of readTo(log, from, end, new AbortController().signal))
    count += records.length;
  return count;
}

function idOf(value: Uint8Array | null): number {
  const { after } = JSON.parse(Buffer.from(value ?? []).toString()) as { after: { id: number } };
  return after.id;
}
