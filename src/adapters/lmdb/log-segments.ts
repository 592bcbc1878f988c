import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import { carryForward } from './log-roll.ts';
import { removeFiles } from './log-file.ts';
import { LogSegment } from './log-segment.ts';

export type Retention = Readonly<{ ms: number; bytes: number }>;

type Options = Readonly<{
  dir: string;
  retention: Retention;
  segmentBytes: number;
  mapBytes: number;
  now: () => number;
}>;

/**
 * The row of segments, oldest first, as this thread knows it. All but the last are sealed.
 *
 * A segment counts from the moment in which its predecessor is sealed: one that a crash left
 * behind an unsealed one is overwritten by the next roll. All of a roll happens within one write
 * transaction on the predecessor, which keeps other threads out.
 */
export class LogSegments implements AsyncDisposable {
  readonly #options: Options;
  readonly #row: LogSegment[];

  private constructor(options: Options, row: LogSegment[]) {
    this.#options = options;
    this.#row = row;
  }

  static async open(options: Options): Promise<LogSegments> {
    const { dir, mapBytes, now } = options;
    mkdirSync(dir, { recursive: true });
    if (segmentNumbers(dir).length === 0) await createFirst(dir, mapBytes, now());
    const numbers = segmentNumbers(dir);
    const row: LogSegment[] = [];
    try {
      for (const number of numbers) {
        const previous = row.at(-1);
        if (previous !== undefined && previous.sealed === undefined) break;
        if (previous !== undefined && previous.number + 1 !== number) {
          throw new MillraceError('log_corrupt', {
            file: LogSegment.fileOf(dir, previous.number + 1),
            found: 'the file is missing',
          });
        }
        const segment = await LogSegment.open(dir, number, mapBytes);
        if (segment === undefined) await closeAll(row.splice(0));
        else row.push(segment);
      }
      const segments = new LogSegments(options, row);
      await segments.follow();
      return segments;
    } catch (error) {
      await closeAll(row);
      throw error;
    }
  }

  /** Oldest first; never empty. */
  get all(): readonly LogSegment[] {
    return this.#row;
  }

  get oldest(): LogSegment {
    return must(this.#row[0], 'a log has a segment');
  }

  /** The last this thread knows; another thread may have sealed it. */
  get current(): LogSegment {
    return must(this.#row.at(-1), 'a log has a segment');
  }

  /** Opens what other threads have added. */
  async follow(): Promise<LogSegment> {
    for (;;) {
      const current = this.current;
      current.refresh();
      if (current.sealed === undefined) return current;
      const next = await this.#openAfter(current.number);
      if (this.current !== current) {
        await next.close();
      } else if (next.number === current.number + 1) {
        this.#row.push(next);
      } else {
        // The oldest go first: if those between are gone, so are all that this thread knew.
        await closeAll(this.#row.splice(0, this.#row.length, next));
      }
    }
  }

  /** Whether the current segment is full, or old enough that its records are to age on their own. */
  get rollIsDue(): boolean {
    const { segmentBytes, retention, now } = this.#options;
    const { current } = this;
    return (
      current.sizeBytes() > segmentBytes ||
      (now() - current.createdMs > retention.ms / 8 && current.records.hasBlocks)
    );
  }

  /** Seals the current segment and starts the next, unless another thread did. */
  async roll(): Promise<void> {
    const { dir, mapBytes, retention, now } = this.#options;
    const current = await this.follow();
    let next: LogSegment | undefined;
    try {
      await current.write(() => {
        if (current.sealed !== undefined) return;
        const nowMs = now();
        next = LogSegment.create(
          LogSegment.fileOf(dir, current.number + 1),
          current.number + 1,
          mapBytes,
          nowMs,
          (empty) => carryForward(current, empty, nowMs - retention.ms),
        );
        syncFolder(dir);
        current.seal(nowMs);
      });
    } finally {
      // Opened anew below, when it counts.
      await next?.close();
    }
    await this.follow();
  }

  /** Deletes the oldest segments, by age and by size, never the current one. Returns how many. */
  async removeExpired(): Promise<number> {
    const { retention, now } = this.#options;
    await this.closeRemoved();
    let removed = 0;
    while (this.#row.length > 1) {
      const { oldest } = this;
      const sealedMs = oldest.sealed?.atMs ?? Infinity;
      if (now() - sealedMs <= retention.ms && this.sizeBytes() <= retention.bytes) break;
      oldest.removeFiles();
      this.#row.shift();
      await oldest.close();
      removed += 1;
    }
    return removed;
  }

  /** Gives up the files that another thread deleted: until then they take space. */
  async closeRemoved(): Promise<void> {
    while (this.#row.length > 1 && !this.oldest.exists) {
      const { oldest } = this;
      this.#row.shift();
      await oldest.close();
    }
  }

  sizeBytes(): number {
    return this.#row.reduce((sum, segment) => sum + segment.sizeBytes(), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeAll(this.#row.splice(0));
  }

  /** The next; or, when retention removed it while this thread slept, the first there is. */
  async #openAfter(previous: number): Promise<LogSegment> {
    const { dir, mapBytes } = this.#options;
    const numbers = [previous + 1, ...segmentNumbers(dir).filter((each) => each > previous + 1)];
    for (const number of numbers) {
      const segment = await LogSegment.open(dir, number, mapBytes);
      if (segment !== undefined) return segment;
    }
    throw new MillraceError('log_corrupt', {
      file: LogSegment.fileOf(dir, previous + 1),
      found: 'the file is missing',
    });
  }
}

async function closeAll(segments: readonly LogSegment[]): Promise<void> {
  for (const segment of segments) await segment.close();
}

/** Makes it aside, so that it has its name only when it is complete; another thread may be first. */
async function createFirst(dir: string, mapBytes: number, nowMs: number): Promise<void> {
  const aside = join(dir, `first-${randomUUID()}.mdb`);
  await LogSegment.create(aside, 1, mapBytes, nowMs).close();
  try {
    linkSync(aside, LogSegment.fileOf(dir, 1));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  removeFiles(aside);
  syncFolder(dir);
}

function segmentNumbers(dir: string): number[] {
  return readdirSync(dir)
    .flatMap((name) => /^(\d{10})\.mdb$/.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => a - b);
}

function syncFolder(dir: string): void {
  const descriptor = openSync(dir, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
