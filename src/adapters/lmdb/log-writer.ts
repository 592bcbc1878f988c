import { setTimeout as sleep } from 'node:timers/promises';
import { MillraceError } from '../../domain/errors.ts';
import type { LogSegment } from './log-segment.ts';
import type { LogSegments } from './log-segments.ts';

// What one transaction takes at most, beyond its first job: LMDB holds it in memory until it commits.
const TRANSACTION_BYTES = 8 << 20;

type Job = Readonly<{
  bytes: number;
  run: (segment: LogSegment) => void;
  done: () => void;
  failed: (error: unknown) => void;
}>;

/** Thrown by a job that has written nothing: the reason that its caller is given. */
export class Refusal extends Error {
  constructor(reason: unknown) {
    super('refused', { cause: reason });
  }
}

type Outcome = Readonly<{ error?: unknown }>;

/**
 * Runs this thread's writes in the order given, one transaction at a time; what gathers meanwhile
 * shares the next (group commit). Other threads' transactions lie between, never within.
 */
export class LogWriter {
  readonly #segments: LogSegments;
  readonly #onRemoved: () => void;
  readonly #lingerMs: number | undefined;
  readonly #queue: Job[] = [];
  #pumping: Promise<void> | undefined;

  /** `lingerMs`: as LmdbEventLogOptions tells. */
  constructor(
    segments: LogSegments,
    { onRemoved, lingerMs }: Readonly<{ onRemoved: () => void; lingerMs: number | undefined }>,
  ) {
    this.#segments = segments;
    this.#onRemoved = onRemoved;
    this.#lingerMs = lingerMs;
  }

  /**
   * Resolves when what `run` wrote is durable. `run` checks first, throwing a Refusal, and writes
   * then. `failed` is called at once when it cannot be done, before any later job runs.
   */
  write<T>(
    run: (segment: LogSegment) => T,
    bytes = 0,
    failed: (error: unknown) => void = () => {},
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let result: { value: T } | undefined;
    this.#queue.push({
      bytes,
      run: (segment) => {
        result = { value: run(segment) };
      },
      done: () => result && resolve(result.value),
      failed: (error) => {
        failed(error);
        reject(error);
      },
    });
    this.#pumping ??= this.#pump();
    return promise;
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#pumping;
  }

  async #pump(): Promise<void> {
    // Appends of one turn of the event loop share a transaction.
    await (this.#lingerMs === undefined ? Promise.resolve() : sleep(this.#lingerMs));
    while (this.#queue.length > 0) {
      const jobs = this.#takeJobs();
      try {
        const outcomes = await this.#transact(jobs);
        for (const [index, job] of jobs.entries()) {
          if (outcomes[index]?.error === undefined) job.done();
        }
        await this.#rollWhenDue();
      } catch (error) {
        // Those already done have resolved; their producers learn of a failed roll by this.
        for (const job of jobs) job.failed(error);
      }
    }
    this.#pumping = undefined;
  }

  #takeJobs(): Job[] {
    let bytes = 0;
    let count = 0;
    for (const job of this.#queue) {
      bytes += job.bytes;
      if (count > 0 && bytes > TRANSACTION_BYTES) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #transact(jobs: readonly Job[]): Promise<readonly Outcome[]> {
    const bytes = jobs.reduce((sum, job) => sum + job.bytes, 0);
    for (;;) {
      const segment = await this.#segments.follow();
      const outcomes = await segment.write(
        () => (segment.sealed ? undefined : jobs.map((job) => attempt(job, segment))),
        { bytes, isAside: this.#lingerMs !== undefined },
      );
      if (outcomes !== undefined) return outcomes;
    }
  }

  async #rollWhenDue(): Promise<void> {
    if (!this.#segments.rollIsDue) return;
    try {
      await this.#segments.roll();
      if ((await this.#segments.removeExpired()) > 0) this.#onRemoved();
    } catch (error) {
      // What was appended is safe. The segment grows on, and the next append tries again.
      if (!(error instanceof MillraceError && error.code === 'disk_full')) throw error;
    }
  }
}

/** A refusal is the job's own affair; any other error undoes the whole transaction. */
function attempt(job: Job, segment: LogSegment): Outcome {
  try {
    job.run(segment);
    return {};
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    job.failed(error.cause);
    return { error: error.cause };
  }
}
