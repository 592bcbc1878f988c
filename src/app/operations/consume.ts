import { MillraceError } from '../../domain/errors.ts';
import type { LogRecord } from '../../domain/record-block.ts';
import { parseExactJson } from '../../lib/exact-json.ts';
import { systemClock } from '../../lib/clock.ts';
import { globMatcher, isGlob } from '../../lib/glob.ts';
import { merge } from '../../lib/merge.ts';
import type { EventLog, TopicDeclaration, TopicPartition } from '../../ports/event-log.ts';
import { readTo } from '../../ports/read-to.ts';
import type { ConsumeArguments, ConsumedRecord } from './operations.ts';

/** How soon a new topic is noticed; its records wait for us. */
const LOOK_FOR_TOPICS_MS = 500;

type Range = TopicPartition & Readonly<{ from: number; end: number }>;

/**
 * The records that `args` asks for. Records of one partition come in offset order; without
 * `follow`, partition after partition. A pattern that is followed takes topics that appear later
 * too, from their first record on, and may match none yet.
 */
export async function* consume(
  log: EventLog,
  args: ConsumeArguments,
  signal: AbortSignal,
): AsyncGenerator<ConsumedRecord, void> {
  const isWanted = keyFilter(args.key);
  let left = args.limit ?? Infinity;
  if (left <= 0) return;
  const batches = args.follow
    ? merge((stop) => readers(log, args, stop), signal)
    : readToEnd(log, await rangesOf(log, await partitionsOf(log, args.topics), args.from), signal);
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

async function rangesOf(
  log: EventLog,
  partitions: readonly TopicPartition[],
  asked: ConsumeArguments['from'],
): Promise<Range[]> {
  const ranges: Range[] = [];
  for (const partition of partitions) ranges.push(await rangeOf(log, partition, asked));
  return ranges;
}

/** One reader a partition: of those there are, then of each topic that appears and fits. */
async function* readers(
  log: EventLog,
  { topics, from }: ConsumeArguments,
  signal: AbortSignal,
): AsyncGenerator<(stop: AbortSignal) => AsyncIterable<Batch>> {
  const isOpen = isGlob(topics);
  const matches = globMatcher(topics);
  const known = new Set<string>();
  let asked = from;
  if (!isOpen) await partitionsOf(log, topics);
  while (!signal.aborted) {
    const added = (await log.topics()).filter(({ name }) => matches(name) && !known.has(name));
    for (const { name } of added) known.add(name);
    for (const range of await rangesOf(log, added.flatMap(partitionsOfTopic), asked))
      yield (stop) => readOn(log, range, stop);
    if (!isOpen) return;
    asked = 'beginning';
    await systemClock.sleep(LOOK_FOR_TOPICS_MS, signal);
  }
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
  for await (const { records } of log.read({ topic, partition, offset: from }, signal))
    yield { topic, partition, records };
}

async function* readToEnd(
  log: EventLog,
  ranges: readonly Range[],
  signal: AbortSignal,
): AsyncGenerator<Batch> {
  for (const range of ranges) {
    const { topic, partition, from: offset, end } = range;
    for await (const records of readTo(log, { topic, partition, offset }, end, signal))
      yield { topic, partition, records };
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
