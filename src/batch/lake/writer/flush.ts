import { createHash } from 'node:crypto';
import { MillraceError } from '../../../domain/errors.ts';
import type { LogRecord } from '../../../domain/record-block.ts';
import { readTo } from '../../../ports/read-to.ts';
import type { LakeGap, LakeTable, Manifest } from '../manifest.ts';
import type { LakeWriterOptions } from '../lake-writer.ts';
import { discardFiles, type WrittenChanges } from './change-files.ts';
import type { LakeDeadLetters } from './dead-letters.ts';
import type { EventSample } from './event-sample.ts';
import { type EventFile, EventFileWriter } from './event-file.ts';
import { noteCopies } from './finished-copy.ts';
import { bothLeft, type CopiesLeft, incompleteAfter } from './incomplete.ts';
import { TableDraft } from './table-draft.ts';
import type { TableWriter } from './table-writer.ts';
import { readEvents, type Stretch, type TopicEvents } from './topic-events.ts';
import { findUnreadable, isAboutRecords, linesWithout } from './unreadable-records.ts';

export type FlushOptions = LakeWriterOptions &
  Readonly<{
    /** For files while they are written. */
    dir: string;
    deadLetters: LakeDeadLetters;
    /** `topic-partition` of those that were seen to be of the log that the lake is written from. */
    knownPartitions: Set<string>;
    tableWriter: (topic: string) => TableWriter;
    /** Told as files are written; `lag` is what is left of this flush, the rest what has come since. */
    onProgress: (
      progress: Readonly<{ lag: number; rows: number; unfit: number; deadLetters: number }>,
    ) => void;
  }>;

/** Of events: large enough for good row groups, small enough to wait on disk. */
const FILE_BYTES = 128 << 20;
/** After so many bytes of events a long flush commits what it has: what a crash costs is bounded. */
const COMMIT_BYTES = 1 << 30;

type TopicEnds = Readonly<{
  topic: string;
  partitions: readonly Readonly<{ start: number; end: number }>[];
}>;

/** One turn of the lake's writer: all that was in the log at one moment becomes files and a commit. */
export class Flush {
  readonly #options: FlushOptions;
  readonly #signal: AbortSignal;
  readonly #ends: readonly TopicEnds[];
  /** Undefined: it can't be known. */
  readonly #left: CopiesLeft | undefined;
  /** Of which a copy was asked for in this turn, and why. */
  readonly #asked = new Map<string, 'gap' | 'key' | 'values'>();
  readonly #drafts = new Map<string, TableDraft>();
  #manifest: Manifest;
  #lag = 0;
  #uncommittedBytes = 0;

  private constructor(
    options: FlushOptions,
    ends: readonly TopicEnds[],
    left: CopiesLeft | undefined,
    manifest: Manifest,
    signal: AbortSignal,
  ) {
    this.#options = options;
    this.#ends = ends;
    this.#left = left;
    this.#manifest = manifest;
    this.#signal = signal;
  }

  /** Looks how far the log is. */
  static async begin(options: FlushOptions, signal: AbortSignal): Promise<Flush> {
    const { lake, log, isTable, messageTopic, copiesLeft = async () => undefined } = options;
    const manifest = await lake.manifest();
    // Before the ends: rows that are in the log at this look are before them.
    let left = await copiesLeft();
    const topics = (await log.topics()).filter(
      ({ name }) => name === messageTopic || isTable(name),
    );
    const ends = await Promise.all(
      topics.map(async ({ name: topic, partitions: count }) => {
        const partitions = Array.from({ length: count }, (_, partition) =>
          log.offsets({ topic, partition }),
        );
        return { topic, partitions: await Promise.all(partitions) };
      }),
    );
    // A copy that has begun since may have brought the first rows of a table.
    const isNew = ends.some(({ topic }) => !hasFiles(manifest.tables[topic]));
    if (left !== undefined && isNew) left = bothLeft(left, await copiesLeft());
    return new Flush(options, ends, left, manifest, signal);
  }

  /** Returns the manifest that holds all of it. */
  async run(): Promise<Manifest> {
    try {
      const stretches = new Map<string, readonly Stretch[]>();
      for (const each of this.#ends) stretches.set(each.topic, await this.#stretchesOf(each));
      for (const each of stretches.values())
        for (const { from, end } of each) this.#lag += end - from;
      // Told before it is worked off: whatever fails then, it is known how far the lake is behind.
      this.#options.onProgress({ lag: this.#lag, rows: 0, unfit: 0, deadLetters: 0 });
      await this.#introduce();
      await this.#writeAll(stretches);
    } catch (error) {
      for (const { changes } of this.#drafts.values())
        await discardFiles(this.#options.lake, changes);
      throw error;
    }
    // Those without a new record, too, may be complete now, or about to be copied.
    const topics = [...this.#ends.map(({ topic }) => topic), ...Object.keys(this.#manifest.tables)];
    for (const topic of topics) this.#draftOf(topic);
    return this.#commit();
  }

  /** What is to be read; where the log has removed some of it, that is noted, and the table asked for. */
  async #stretchesOf({ topic, partitions }: TopicEnds): Promise<Stretch[]> {
    const { clock, messageTopic, onMissingHistory } = this.#options;
    const draft = this.#draftOf(topic);
    const stretches: Stretch[] = [];
    const gaps: LakeGap[] = [];
    for (const [partition, { start, end }] of partitions.entries()) {
      const from = draft.offsets[partition] ?? 0;
      await this.#refuseOtherLog(draft, partition, { start, end, from });
      if (from < start) gaps.push({ partition, from, to: start, atMs: clock.nowMs() });
      const next = Math.max(from, start);
      if (next < end) stretches.push({ partition, from: next, end });
      else draft.offsets[partition] = next;
    }
    if (gaps.length > 0 && topic !== messageTopic) {
      // Before they are noted for good: if it can't be asked for now, it is asked for again.
      await onMissingHistory(topic);
      this.#asked.set(topic, 'gap');
      draft.noteGaps(gaps);
    } else draft.gaps.push(...gaps);
    return stretches;
  }

  /**
   * A log that was removed and made anew has other records at the same offsets: the lake would miss
   * some, and have others twice. Looked at once in a writer's life; past retention, nobody can tell.
   */
  async #refuseOtherLog(
    { topic, lastRead }: TableDraft,
    partition: number,
    { start, end, from }: Readonly<{ start: number; end: number; from: number }>,
  ): Promise<void> {
    const refuse = (found: string): never => {
      const { lake } = this.#options;
      throw new MillraceError('lake_of_other_log', { lake: lake.dir, topic, partition, found });
    };
    if (from > end) refuse(`the log ends at ${end}, the lake holds it up to ${from}`);
    const last = lastRead[partition];
    const { log, knownPartitions } = this.#options;
    const name = `${topic}-${partition}`;
    if (last === undefined || knownPartitions.has(name)) return;
    knownPartitions.add(name);
    if (last.offset < start) return;
    const place = { topic, partition, offset: last.offset };
    for await (const [record] of readTo(log, place, last.offset + 1, this.#signal))
      if (record !== undefined && digestOf(record) === last.digest) return;
    refuse(`another record at offset ${last.offset} than the one that is in the lake`);
  }

  /** Tables without a row yet have columns, too. */
  async #introduce(): Promise<void> {
    for (const draft of this.#drafts.values())
      if (draft.schemas.length === 0) await this.#options.tableWriter(draft.topic).introduce(draft);
  }

  /** While the engine writes one file, the next one's events are read. */
  async #writeAll(stretches: ReadonlyMap<string, readonly Stretch[]>): Promise<void> {
    let writing: Promise<void> = Promise.resolve();
    try {
      for (const [topic, each] of stretches) {
        const { log, dir, fileBytes = FILE_BYTES } = this.#options;
        const limits = { dir, bytes: fileBytes };
        for await (const events of readEvents(log, topic, each, limits, this.#signal)) {
          try {
            await writing;
          } catch (error) {
            await events[Symbol.asyncDispose]();
            throw error;
          }
          writing = this.#write(topic, events);
          // Awaited above or below; until then a failure waits.
          writing.catch(() => {});
        }
      }
    } finally {
      await writing;
    }
  }

  async #write(topic: string, events: TopicEvents): Promise<void> {
    await using disposables = new AsyncDisposableStack();
    disposables.use(events);
    const draft = this.#draftOf(topic);
    const before = { ...draft.offsets };
    if (events.file !== undefined) {
      const file = await events.file.end();
      const { rows, unfit, deadLetters } = await this.#append(draft, file, events.sample);
      this.#uncommittedBytes += events.file.bytes;
      this.#options.onProgress({ lag: Math.max(0, this.#lag), rows, unfit, deadLetters });
    }
    for (const [partition, record] of events.lastRead)
      draft.lastRead[partition] = { offset: record.offset, digest: digestOf(record) };
    for (const [partition, next] of events.next) {
      draft.offsets[partition] = next;
      this.#lag -= next - (before[partition] ?? 0);
    }
    if (this.#uncommittedBytes >= COMMIT_BYTES) await this.#commit();
  }

  /** What is no change event goes to the dead letters, and the rest is tried again. */
  async #append(
    draft: TableDraft,
    file: EventFile,
    sample: EventSample | undefined,
  ): Promise<Pick<WrittenChanges, 'rows' | 'unfit'> & { deadLetters: number }> {
    const { engine, tableWriter, messageTopic, deadLetters, dir } = this.#options;
    const { topic } = draft;
    try {
      const written = await tableWriter(topic).append(draft, file, sample, this.#signal);
      return { ...written, deadLetters: 0 };
    } catch (error) {
      if (!isAboutRecords(error)) throw error;
      const isMessages = topic === messageTopic;
      const unreadable = await findUnreadable(engine, file, isMessages, this.#signal);
      if (unreadable.length === 0) throw error;
      const count = await deadLetters.add(topic, unreadable, this.#signal);
      await using rest = await EventFileWriter.create(dir);
      for await (const line of linesWithout(file.path, unreadable)) await rest.addLine(line);
      if (rest.lines === 0) return { rows: 0, unfit: 0, deadLetters: count };
      const written = await this.#append(draft, await rest.end(), undefined);
      return { ...written, deadLetters: count + written.deadLetters };
    }
  }

  #draftOf(topic: string): TableDraft {
    const known = this.#drafts.get(topic);
    if (known !== undefined) return known;
    const draft = new TableDraft(topic, this.#manifest.tables[topic]);
    this.#drafts.set(topic, draft);
    return draft;
  }

  #incompleteOf({ topic, before, offsets }: TableDraft): LakeTable['incomplete'] {
    if (topic === this.#options.messageTopic) return undefined;
    const partitions = this.#ends.find((each) => each.topic === topic)?.partitions ?? [];
    return incompleteAfter({
      known: before?.incomplete,
      isNew: !hasFiles(before),
      isAtEnd: partitions.every(({ end }, partition) => (offsets[partition] ?? 0) >= end),
      asked: this.#asked.get(topic),
      topic,
      left: this.#left,
      nowMs: this.#options.clock.nowMs(),
    });
  }

  async #commit(): Promise<Manifest> {
    const { lake, engine, clock, onMissingHistory } = this.#options;
    for (const draft of this.#drafts.values()) {
      if (!draft.isChanged) continue;
      await noteCopies(lake, engine, draft, this.#signal);
      const { lacks } = draft;
      if (lacks === undefined) continue;
      // Before it is noted for good: if it can't be asked for now, it is asked for again.
      await onMissingHistory(draft.topic);
      this.#asked.set(draft.topic, lacks);
      if (lacks !== 'values') draft.noteOtherRows(lacks, clock.nowMs());
    }
    for (const draft of this.#drafts.values()) draft.incomplete = this.#incompleteOf(draft);
    const drafts = [...this.#drafts.values()].filter(({ isChanged }) => isChanged);
    // From here on its files may be named, even if the commit fails: who begins next looks.
    this.#drafts.clear();
    this.#uncommittedBytes = 0;
    if (drafts.length === 0) return this.#manifest;
    this.#manifest = await lake.commit((manifest) => ({
      ...manifest,
      tables: {
        ...manifest.tables,
        ...Object.fromEntries(drafts.map((draft) => [draft.topic, draft.applyTo(manifest)])),
      },
    }));
    return this.#manifest;
  }
}

function hasFiles(table: LakeTable | undefined): boolean {
  return table !== undefined && table.changes.length + table.bases.length > 0;
}

function digestOf({ key, value }: LogRecord): string {
  const hash = createHash('sha256');
  for (const part of [key, value])
    hash.update(part === null ? '-' : `${part.length}:`).update(part ?? '');
  return hash.digest('base64').slice(0, 22);
}
