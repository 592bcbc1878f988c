import { isDeepStrictEqual } from 'node:util';
import { MillraceError } from '../../domain/errors.ts';
import type { Clock } from '../../lib/clock.ts';
import { must } from '../../lib/must.ts';
import { runTogether } from '../../lib/run-together.ts';
import { untilAborted } from '../../lib/until-aborted.ts';
import { Wakeup } from '../../lib/wakeup.ts';
import type { EventLog, TopicPartition } from '../../ports/event-log.ts';
import type { Store, TaskOffsets } from '../../ports/store.ts';
import { FIRST, taskName } from '../rebuild/generation.ts';
import { CommitQueue } from './commit-queue.ts';
import { Effects } from './effects.ts';
import { Forwarder } from './forwarder.ts';
import type { Holds } from './holds.ts';
import { ParkedReplay, type ReplayOrder } from './parked-replay.ts';
import { ParkingLot } from './parking-lot.ts';
import type { Partitioner } from './partitioner.ts';
import type { RecordHandler, TaskSubject } from './record-handler.ts';
import { RecordsInTurn } from './records-in-turn.ts';
import { bytesOf, slicesOf } from './slices.ts';
import { StateOverlay } from './state-overlay.ts';
import { Ticks } from './ticks.ts';

/** Bounds of one commit, and of the state that a task keeps at hand. */
export type TaskLimits = Readonly<{ maxRecords: number; maxBytes: number; cacheEntries: number }>;

export type TaskOptions = Readonly<{
  subject: TaskSubject;
  partition: TopicPartition;
  log: EventLog;
  store: Store;
  partitioner: Partitioner;
  /** Of the pauses before a failed record is tried again. */
  clock: Clock;
  holds: Holds;
  deadLetterTopic: string;
  limits: TaskLimits;
  /** Called before the task begins at the log's start while records before it are gone. */
  onMissingHistory: () => Promise<void>;
  /** Called when the task has begun, after each commit, and when it comes to rest or goes on. */
  onProgress: () => void;
  /** Called when a record has failed that is tried again, before it is. */
  onProblem: (problem: string) => void;
}>;

/**
 * So many records are decoded at once, and worked on before more are: what they become lives so
 * briefly that the garbage collector never moves it. Thousands at once took 5 to 10% longer.
 */
const RECORDS_AT_ONCE = 128;

/** Conflicts in a row, at the same stored offset, after which a task gives up. */
const MAX_FRUITLESS_CONFLICTS = 3;
const NO_CONFLICTS = { count: 0, offset: undefined };

/**
 * Beside the partition's offset, the stored offsets count the commits that replayed parked records:
 * those leave the offset as it is, so without the count a zombie could repeat one unnoticed.
 */
export const REPLAYS = 'replays';
/** So do the ticks that the task has obeyed. */
const TICKS = 'ticks';

/**
 * Takes one topic partition into account for one processor: reads, processes, commits, each record
 * once whatever crashes in between, because its offset is stored with its effects and nowhere else.
 *
 * While a commit is under way the next batch is processed over its writes. A commit that finds
 * other offsets stored than this task left there makes it drop all it knows and begin there.
 */
export class Task {
  /** `<processor>/<topic>-<partition>`, the processor with its generation, unless that is the first. */
  readonly name: string;
  readonly partition: TopicPartition;
  /** `<topic>-<partition>`. */
  readonly partitionId: string;
  readonly #options: TaskOptions;
  readonly #overlay: StateOverlay;
  readonly #effects: Effects;
  readonly #handler: RecordHandler;
  readonly #parking: ParkingLot;
  readonly #records: RecordsInTurn;
  readonly #replay: ParkedReplay;
  readonly #forwarder: Forwarder;
  readonly #wakeup = new Wakeup();
  readonly #orders: ReplayOrder[] = [];
  readonly #ticks: Ticks | undefined;
  /** Event time that has passed, by the runner's word, and is not yet obeyed. */
  #passedMs: number | undefined;
  /** As the last commit left them. */
  #stored: TaskOffsets = {};
  /** The next record to process; ahead of what is stored while a commit is under way. */
  #next = 0;
  #offset: number | undefined;
  #reading: AbortController | undefined;
  #isResting = false;
  /** Where the task will be known to have come once the commit under way has ended. */
  #committing: number | undefined;
  /** The store was seen to have other offsets than this task left there. */
  #isStale = false;
  #processed = 0;
  #conflicts: Readonly<{ count: number; offset: number | undefined }> = NO_CONFLICTS;

  constructor(options: TaskOptions) {
    const { subject, partition, log, store, partitioner, deadLetterTopic, limits } = options;
    this.#options = options;
    this.partition = partition;
    this.partitionId = `${partition.topic}-${partition.partition}`;
    this.name = taskName(subject.name, subject.generation, this.partitionId);
    const task = this.name;
    const overlay = new StateOverlay({ store, task, cacheEntries: limits.cacheEntries });
    // What is put out has the same ids whichever generation does it.
    const named = taskName(subject.name, FIRST, this.partitionId);
    const effects = new Effects({ task: named, overlay, partitioner });
    const from = { ...partition, processor: subject.name, task };
    this.#overlay = overlay;
    this.#effects = effects;
    this.#handler = subject.open({
      task,
      partition,
      store,
      overlay,
      effects,
      deadLetterTopic,
      partitionsOf: (topic) => partitioner.countOf(topic),
      cacheEntries: limits.cacheEntries,
    });
    this.#parking = new ParkingLot({ from, deadLetterTopic, store, overlay, effects });
    this.#forwarder = new Forwarder({ log, store, task, deadLetterTopic });
    const topic = subject.tickTopic;
    this.#ticks = topic === undefined ? undefined : new Ticks({ log, topic, task });
    const { clock, onProblem } = options;
    const { partitionId } = this;
    const work = { handler: this.#handler, parking: this.#parking };
    const ticks = this.#ticks;
    this.#records = new RecordsInTurn({
      ...work,
      subject,
      task,
      partitionId,
      ticks,
      clock,
      onProblem,
    });
    this.#replay = new ParkedReplay({
      ...work,
      effects,
      maxRecords: limits.maxRecords,
      replays: () => this.#stored[REPLAYS] ?? 0,
      room: (signal) => this.#forwarder.room(signal),
      commit: (replays) => this.#commit(0, { [REPLAYS]: replays }),
    });
  }

  /** The event time that something here waits for; undefined while that is unknown, or nothing does. */
  get waitsForMs(): number | undefined {
    return this.#offset === undefined ? undefined : this.#handler.timer?.nextMs();
  }

  /** The event time that has come here, and of which the tasks after this one were told. */
  get reachedMs(): number {
    return this.#offset === undefined ? Infinity : (this.#handler.timer?.reachedMs() ?? Infinity);
  }

  /**
   * Nothing before `timeMs` comes any more: all of it is in the log, and this task has taken it into
   * account.
   */
  pass(timeMs: number): void {
    this.#passedMs = timeMs;
    this.poke();
  }

  /** The next record that is not yet taken into account; undefined before it is known. */
  get offset(): number | undefined {
    return this.#offset;
  }

  /** Held, and nothing under way. */
  get isResting(): boolean {
    return this.#isResting;
  }

  get parked(): number {
    return this.#parking.count;
  }

  /** Records taken into account since the task was made. */
  get processed(): number {
    return this.#processed;
  }

  /** Elements that came too late for their windows, since the task was made. */
  get late(): number {
    return this.#handler.late ?? 0;
  }

  /** Obeyed when nothing is under way, and not while held. Lost when the task ends before. */
  order(order: ReplayOrder): void {
    this.#orders.push(order);
    this.poke();
  }

  /** Makes the task look at holds and orders again. */
  poke(): void {
    this.#wakeup.raise();
    this.#reading?.abort();
  }

  /**
   * Looks whether the store still has what this task committed last; if not, the task begins again
   * where the store says. A commit finds out the same: this is for a task that has none to make.
   */
  async verify(): Promise<void> {
    const expected = this.#stored;
    if (this.#offset === undefined || this.#committing !== undefined) return;
    this.#forwarder.look();
    const found = await this.#options.store.offsets(this.name);
    // A commit that came in between has seen for itself.
    if (this.#committing !== undefined || this.#stored !== expected) return;
    if (isDeepStrictEqual(found, expected)) return;
    this.#isStale = true;
    this.poke();
  }

  /** Ends when `signal` aborts; throws when the log or the store fails, and may then be run again. */
  async run(signal: AbortSignal): Promise<void> {
    await runTogether(signal, [
      (either) => this.#workThroughConflicts(either),
      (either) => this.#forwarder.run(either),
    ]).finally(() => this.#ticks?.close());
  }

  async #workThroughConflicts(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#rewind(signal);
        await this.#work(signal);
      } catch (error) {
        if (signal.aborted && error === signal.reason) return;
        if (!(error instanceof MillraceError) || error.code !== 'commit_conflict') throw error;
        const offset = this.#stored[this.partitionId];
        const isFruitless = this.#conflicts.count > 0 && this.#conflicts.offset === offset;
        this.#conflicts = { count: isFruitless ? this.#conflicts.count + 1 : 1, offset };
        if (this.#conflicts.count > MAX_FRUITLESS_CONFLICTS) throw error;
      }
    }
  }

  /** Begins where the store says. */
  async #rewind(signal: AbortSignal): Promise<void> {
    this.#effects.reset();
    this.#isStale = false;
    this.#isResting = false;
    this.#stored = await this.#options.store.offsets(this.name);
    await this.#parking.load();
    await this.#handler.load(signal);
    const stored = this.#stored[this.partitionId];
    const earlier = stored === undefined ? undefined : this.#handler.beginsAt?.();
    this.#next = earlier ?? stored ?? (await this.#beginning(signal));
    this.#passedMs = undefined;
    await this.#records.rewind(this.#next, this.#stored[TICKS] ?? 0, signal);
    this.#offset = this.#next;
    this.#options.onProgress();
  }

  async #beginning(signal: AbortSignal): Promise<number> {
    const { log, onMissingHistory } = this.#options;
    const { start } = await log.offsets(this.partition);
    if (start === 0) return start;
    try {
      // The asking may take long, and is not for this task alone.
      await Promise.race([onMissingHistory(), untilAborted(signal)]);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    // Meanwhile, more may have been removed.
    return (await log.offsets(this.partition)).start;
  }

  /** Ends when `signal` aborts, or when the task must begin again. */
  async #work(signal: AbortSignal): Promise<void> {
    if (await this.#records.obeyTicks(this.#next)) await this.#commit(0);
    while (!signal.aborted && !this.#isStale) {
      const stopAt = this.#options.holds.stopAt(this.partitionId);
      const order = this.#orders[0];
      if (stopAt !== undefined && this.#next >= stopAt) {
        await this.#rest(signal);
      } else if (order !== undefined) {
        this.#orders.shift();
        await this.#replay.obey(order, signal);
      } else if (this.#passedMs !== undefined) {
        const timeMs = this.#passedMs;
        this.#passedMs = undefined;
        if (await this.#records.pass(timeMs, this.#next)) await this.#commit(0);
      } else {
        await this.#follow(stopAt, signal);
      }
    }
  }

  async #rest(signal: AbortSignal): Promise<void> {
    if (!this.#isResting) {
      this.#isResting = true;
      this.#options.onProgress();
    }
    await this.#wakeup.wait(signal);
    if (this.#isStale) return;
    const stopAt = this.#options.holds.stopAt(this.partitionId);
    if (stopAt !== undefined && this.#next >= stopAt) return;
    this.#isResting = false;
    this.#options.onProgress();
  }

  /** Processes records until poked, or, where there is a `stopAt`, until the first at or past it. */
  async #follow(stopAt: number | undefined, signal: AbortSignal): Promise<void> {
    const reading = new AbortController();
    this.#reading = reading;
    const until = AbortSignal.any([signal, reading.signal]);
    const commits = new CommitQueue(
      ({ records }) => this.#commit(records),
      () => reading.abort(),
    );
    const { maxRecords, maxBytes } = this.#options.limits;
    const limit = { records: maxRecords, bytes: maxBytes };
    const atOnce = { maxRecords: Math.min(maxRecords, RECORDS_AT_ONCE), maxBytes };
    try {
      const from = { ...this.partition, offset: this.#next };
      for await (const { records, next } of this.#options.log.read(from, until)) {
        const allowed =
          stopAt === undefined ? records : records.filter(({ offset }) => offset < stopAt);
        // No record that is wanted stands before it.
        const passed = stopAt === undefined ? next : Math.min(next, stopAt);
        for (const slice of slicesOf(allowed, atOnce)) {
          if (until.aborted) break;
          const share = { records: slice.length, bytes: bytesOf(slice) };
          await commits.room(share, limit);
          if (until.aborted) break; // a hold was placed meanwhile
          commits.begin();
          await this.#forwarder.room(signal);
          const done = await this.#records.process(slice, until);
          this.#next = slice[done]?.offset ?? must(slice.at(-1), 'slices are not empty').offset + 1;
          if (done < slice.length) {
            commits.done({ records: done, bytes: 0 });
            break;
          }
          await this.#records.obeyTicks(this.#next);
          if (slice.at(-1) === allowed.at(-1)) this.#next = passed;
          commits.done(share);
        }
        if (until.aborted || this.#records.stopped !== undefined) break;
        if (allowed.length === 0) this.#passOver(passed);
        if (stopAt !== undefined && this.#next >= stopAt) break;
      }
    } finally {
      this.#reading = undefined;
      await commits.settled();
    }
    commits.check();
    this.#offset = this.#next;
    const { stopped } = this.#records;
    if (stopped !== undefined) throw stopped;
  }

  /**
   * Nothing stands before `offset`: it is stored with the next commit, and is known as soon as all
   * that was processed is stored.
   */
  #passOver(offset: number): void {
    const isAtRest = this.#offset === this.#next;
    if (this.#committing === this.#next) this.#committing = offset;
    this.#next = offset;
    if (!isAtRest) return;
    this.#offset = offset;
    this.#options.onProgress();
  }

  async #commit(records: number, also: TaskOffsets = {}): Promise<void> {
    const { ticked: ticks } = this.#records;
    const ticked = ticks === 0 ? {} : { [TICKS]: ticks };
    const to = { ...this.#stored, [this.partitionId]: this.#next, ...ticked, ...also };
    const sealed = this.#effects.seal();
    const effects = { ...sealed, state: [...sealed.state, ...this.#handler.seal()] };
    this.#committing = this.#next;
    try {
      await this.#options.store.commit({ task: this.name, from: this.#stored, to, ...effects });
      this.#offset = this.#committing;
    } finally {
      this.#committing = undefined;
    }
    this.#overlay.committed();
    this.#handler.committed();
    this.#stored = to;
    this.#processed += records;
    this.#conflicts = NO_CONFLICTS;
    this.#forwarder.committed(effects.outgoing);
    this.#options.onProgress();
  }
}
