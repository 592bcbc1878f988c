import { MillraceError } from '../domain/errors.ts';
import type { LogRecord } from '../domain/record-block.ts';
import { parseExactJson } from '../lib/exact-json.ts';
import { globMatcher, isGlob } from '../lib/glob.ts';
import { merge } from '../lib/merge.ts';
import type { EventLog, TopicDeclaration, TopicPartition } from '../ports/event-log.ts';
import type { ConsumeArguments, ConsumedRecord } from './operations.ts';

type Range = TopicPartition & Readonly<{ from: number; end: number }>;

/**
 * The records that `args` asks for. Topics are those of the start. Records of one partition come
 * in offset order; without `follow`, partition after partition.
 */
export async function* consume(
  log: EventLog,
  args: ConsumeArguments,
  signal: AbortSignal,
): AsyncGenerator<ConsumedRecord, void> {
  const ranges: Range[] = [];
  for (const partition of await partitionsOf(log, args.topics))
    ranges.push(await rangeOf(log, partition, args.from));
  const isWanted = keyFilter(args.key);
  let left = args.limit ?? Infinity;
  if (left <= 0) return;
  const batches = args.follow
    ? merge(
        ranges.map((range) => (stop) => readOn(log, range, stop)),
        signal,
      )
    : readToEnd(log, ranges, signal);
  for await (const { topic, partition, records } of batches) {
    for (const record of records) {
      const key = valueOf(record.key);
      if (!isWanted(key)) continue;
      yield {
        topic,
        partition,
        offset: record.offset,
        timestamp: record.timestampMs,
        key,
        value: valueOf(record.value),
        headers: Object.fromEntries(record.headers),
      };
      left -= 1;
      if (left === 0) return;
    }
  }
}

async function partitionsOf(log: EventLog, pattern: string): Promise<TopicPartition[]> {
  const topics = await log.topics();
  const matches = globMatcher(pattern);
  const found = topics.filter(({ name }) => matches(name));
  if (found.length === 0)
    throw new MillraceError('topic_missing', {
      [isGlob(pattern) ? 'pattern' : 'topic']: pattern,
    });
  return found.flatMap(partitionsOfTopic);
}

export function partitionsOfTopic({ name, partitions }: TopicDeclaration): TopicPartition[] {
  return Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition }));
}

async function rangeOf(
  log: EventLog,
  partition: TopicPartition,
  asked: ConsumeArguments['from'],
): Promise<Range> {
  const { start, end } = await log.offsets(partition);
  const from = async (): Promise<number> => {
    if (asked === 'beginning') return start;
    if (asked === 'end') return end;
    if ('offset' in asked) return asked.offset;
    return log.offsetAt(partition, asked.timestampMs);
  };
  return { ...partition, from: await from(), end };
}

type Batch = TopicPartition & Readonly<{ records: readonly LogRecord[] }>;

async function* readOn(
  log: EventLog,
  { topic, partition, from }: Range,
  signal: AbortSignal,
): AsyncGenerator<Batch> {
  for await (const records of log.read({ topic, partition, offset: from }, signal))
    yield { topic, partition, records };
}

async function* readToEnd(
  log: EventLog,
  ranges: readonly Range[],
  signal: AbortSignal,
): AsyncGenerator<Batch> {
  for (const range of ranges) {
    if (range.from >= range.end) continue;
    const ended = new AbortController();
    for await (const batch of readOn(log, range, AbortSignal.any([signal, ended.signal]))) {
      const records = batch.records.filter(({ offset }) => offset < range.end);
      if ((batch.records.at(-1)?.offset ?? 0) >= range.end - 1) ended.abort();
      if (records.length > 0) yield { ...batch, records };
    }
    if (signal.aborted) return;
  }
}

/** By JSON, whatever its spacing and the order of its names; by text; or by the value of the only column. */
function keyFilter(asked: string | undefined): (key: unknown) => boolean {
  if (asked === undefined) return () => true;
  const wanted = canonical(parsedOrText(asked));
  return (key) => {
    if (key === null) return false;
    if (canonical(key) === wanted) return true;
    const values = typeof key === 'object' ? Object.values(key) : [];
    return values.length === 1 && String(values[0]) === asked;
  };
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}

function valueOf(bytes: Uint8Array | null): unknown {
  return bytes === null ? null : parsedOrText(Buffer.from(bytes).toString('utf8'));
}

export function parsedOrText(text: string): unknown {
  try {
    return parseExactJson(text);
  } catch {
    // Not JSON: whoever wrote it meant text.
    return text;
  }
}
