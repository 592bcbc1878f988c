import { MillraceError } from '../../domain/errors.ts';
import type { LogRecord, RecordBlock } from '../../domain/record-block.ts';
import { Bell } from '../../lib/bell.ts';
import { GroupMembers } from '../../lib/group-members.ts';
import { murmur2 } from '../../lib/murmur2.ts';
import type {
  Assignment,
  EventLog,
  LogBatch,
  Producer,
  TopicDeclaration,
  TopicPartition,
} from '../../ports/event-log.ts';
import { LmdbProducer } from './log-producer.ts';
import { partitionsOf } from './log-roll.ts';
import type { LogSegment } from './log-segment.ts';
import { LogSegments, type Retention } from './log-segments.ts';
import { LogWriter, Refusal } from './log-writer.ts';

export type LmdbEventLogOptions = Readonly<{
  dir: string;
  /** Shared by all threads that open this log: `Bell.memory()`. */
  wake?: SharedArrayBuffer;
  retention: Retention;
  /** A segment is closed at this size; retention removes whole segments. */
  segmentBytes?: number;
  /**
   * The part of each group's partitions that `join` gives out here, where the members of a group
   * are in `of` threads, each with an object of its own: `index` counts from 0. They join with the
   * same topics.
   */
  share?: Readonly<{ index: number; of: number }>;
  /**
   * For a thread that has other things to do: appends wait so long for others to share their flush,
   * which then leaves the thread free. Undefined: each is made at once, a small one by the thread itself.
   */
  lingerMs?: number;
  now?: () => number;
}>;

const ALL = { index: 0, of: 1 };

const ROWS_CHANGED = 'segments were removed';

/**
 * The event log in LMDB files of this machine. Several threads of one process may open the same
 * folder, each with its own object; whoever starts the process keeps other processes out.
 *
 * `join` splits this object's share of partitions among the members that joined through it.
 */
export class LmdbEventLog implements EventLog {
  readonly #segments: LogSegments;
  readonly #writer: LogWriter;
  readonly #bell: Bell;
  readonly #groups = new GroupMembers();
  readonly #share: typeof ALL;
  readonly #topics = new Map<string, TopicDeclaration>();
  readonly #closing = new AbortController();
  readonly #following: Promise<void>;

  private constructor(segments: LogSegments, bell: Bell, share: typeof ALL, lingerMs?: number) {
    this.#share = share;
    this.#segments = segments;
    this.#bell = bell;
    this.#writer = new LogWriter(segments, { onRemoved: () => bell.ring(ROWS_CHANGED), lingerMs });
    this.#following = this.#followRemovals();
  }

  /** Fails with `log_corrupt` or `data_dir_version`, naming the file. */
  static async open({
    dir,
    wake,
    retention,
    segmentBytes = Math.ceil(retention.bytes / 8),
    share = ALL,
    lingerMs,
    now = Date.now,
  }: LmdbEventLogOptions): Promise<LmdbEventLog> {
    // Address space, not memory: so large that LMDB never has to map a growing file anew.
    const mapBytes = segmentBytes * 2 + (1 << 30);
    const segments = await LogSegments.open({ dir, retention, segmentBytes, mapBytes, now });
    return new LmdbEventLog(segments, new Bell(wake), share, lingerMs);
  }

  async createTopics(declarations: readonly TopicDeclaration[]): Promise<void> {
    await this.#writer.write((segment) => {
      for (const { name, partitions } of declarations) {
        const existing = segment.topic(name);
        if (existing !== undefined && existing.partitions !== partitions) {
          throw new Refusal(
            new MillraceError('topic_partitions_changed', {
              topic: name,
              expected: partitions,
              found: existing.partitions,
            }),
          );
        }
      }
      for (const declaration of declarations) {
        if (segment.topic(declaration.name) === undefined) segment.putTopic(declaration);
      }
    });
  }

  async topics(): Promise<readonly TopicDeclaration[]> {
    const current = await this.#segments.follow();
    return current.topics().toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  async openProducer(name: string): Promise<Producer> {
    const { epoch, position } = await this.#writer.write((segment) => {
      const before = segment.producer(name);
      const state = { epoch: (before?.epoch ?? 0) + 1, position: before?.position };
      segment.putProducer(name, state);
      return state;
    });
    return new LmdbProducer({
      name,
      epoch,
      position,
      writer: this.#writer,
      check: (segment, blocks) => this.#refuseMissing(segment, blocks),
      appended: (blocks) => {
        for (const block of blocks) this.#bell.ring(idOf(block));
      },
    });
  }

  async positionOf(producer: string): Promise<string | undefined> {
    return (await this.#segments.follow()).producer(producer)?.position;
  }

  async *read(
    from: TopicPartition & { offset: number },
    signal: AbortSignal,
  ): AsyncGenerator<LogBatch, void, undefined> {
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    const { cleanup } = this.#topicOf(await this.#segments.follow(), from);
    let next = from.offset;
    while (!ended.aborted) {
      const seen = this.#bell.count(idOf(from));
      const current = await this.#segments.follow();
      const { end } = current.records.end(from);
      if (next > end || (next < this.#start(from) && cleanup === 'delete')) {
        const { topic, partition } = from;
        const start = this.#start(from);
        throw new MillraceError('offset_out_of_range', {
          topic,
          partition,
          offset: next,
          start,
          end,
        });
      }
      const records = next === end ? [] : this.#recordsFrom(from, next);
      if (next === end) {
        await this.#bell.heard(idOf(from), seen, ended);
      } else {
        // Where there is none, the rest was compacted away.
        next = (records.at(-1)?.offset ?? end - 1) + 1;
        yield { records, next };
      }
    }
  }

  async offsets(partition: TopicPartition): Promise<Readonly<{ start: number; end: number }>> {
    const current = await this.#segments.follow();
    const { cleanup } = this.#topicOf(current, partition);
    const start = cleanup === 'delete' ? this.#start(partition) : 0;
    return { start, end: current.records.end(partition).end };
  }

  async offsetAt(partition: TopicPartition, timestampMs: number): Promise<number> {
    const current = await this.#segments.follow();
    const { cleanup } = this.#topicOf(current, partition);
    let next = cleanup === 'delete' ? this.#start(partition) : 0;
    for (const segment of this.#segments.all) {
      const { end, latestMs } = segment.records.end(partition);
      if (latestMs >= timestampMs) {
        const isKept = cleanup === 'compact' && segment === this.#segments.oldest;
        if (!isKept) next = Math.max(next, segment.records.firstAt(partition, timestampMs));
        break;
      }
      next = Math.max(next, end);
    }
    const { end } = current.records.end(partition);
    while (next < end) {
      const records = this.#recordsFrom(partition, next);
      const found = records.find((record) => record.timestampMs >= timestampMs);
      if (found !== undefined) return found.offset;
      next = (records.at(-1)?.offset ?? end) + 1;
    }
    return end;
  }

  async *join(
    group: string,
    topics: readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<Assignment, void, undefined> {
    const current = await this.#segments.follow();
    const partitions = [...new Set(topics)]
      .toSorted()
      .flatMap((topic) => partitionsOf(this.#topicOf(current, { topic, partition: 0 })));
    const share = shareOf(group, partitions, this.#share);
    yield* this.#groups.join(group, share, AbortSignal.any([signal, this.#closing.signal]));
  }

  async sizeBytes(): Promise<number> {
    await this.#segments.follow();
    return this.#segments.sizeBytes();
  }

  /**
   * Closes the current segment when it is due, then removes segments by age and by size. Returns
   * how many were removed. To be called now and then: a log that nobody writes to ages too.
   */
  async applyRetention(): Promise<number> {
    await this.#segments.follow();
    if (this.#segments.rollIsDue) await this.#segments.roll();
    const removed = await this.#segments.removeExpired();
    if (removed > 0) this.#bell.ring(ROWS_CHANGED);
    return removed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#following;
    await this.#writer.idle();
    await this.#segments[Symbol.asyncDispose]();
    this.#bell[Symbol.dispose]();
  }

  /** Records at or after `next`, which is before the end; none when the rest was compacted away. */
  #recordsFrom(partition: TopicPartition, next: number): LogRecord[] {
    const { all, oldest } = this.#segments;
    const holding = all.findLastIndex((segment) => segment.records.base(partition) <= next);
    if (holding < 0) {
      const kept = oldest.records.kept(partition, next);
      if (kept.length > 0) return kept;
    }
    for (const segment of all.slice(Math.max(0, holding))) {
      const records = segment.records.blocks(partition, next);
      if (records.length > 0) return records;
    }
    return [];
  }

  #start(partition: TopicPartition): number {
    return this.#segments.oldest.records.base(partition);
  }

  #topicOf(segment: LogSegment, { topic, partition }: TopicPartition): TopicDeclaration {
    // Topics are never removed or changed, so what was found once stays true.
    const declaration = this.#topics.get(topic) ?? segment.topic(topic);
    if (declaration === undefined || partition < 0 || partition >= declaration.partitions) {
      throw new MillraceError('topic_missing', { topic, partition });
    }
    this.#topics.set(topic, declaration);
    return declaration;
  }

  #refuseMissing(segment: LogSegment, blocks: readonly RecordBlock[]): void {
    try {
      for (const block of blocks) this.#topicOf(segment, block);
    } catch (error) {
      throw new Refusal(error);
    }
  }

  async #followRemovals(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const seen = this.#bell.count(ROWS_CHANGED);
      try {
        await this.#segments.follow();
        await this.#segments.closeRemoved();
      } catch {
        // A log that cannot be opened any more is reported to whoever reads or appends next.
      }
      await this.#bell.heard(ROWS_CHANGED, seen, signal, true);
    }
  }
}

/** Groups begin at different threads, or the first would have all that have only one partition. */
function shareOf(
  group: string,
  partitions: Assignment,
  { index, of }: Readonly<{ index: number; of: number }>,
): Assignment {
  const first = murmur2(Buffer.from(group)) >>> 0;
  return partitions.filter((_, nth) => (first + nth) % of === index);
}

function idOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
