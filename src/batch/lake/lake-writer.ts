import { mkdir, rm } from 'node:fs/promises';
import { MillraceError } from '../../domain/errors.ts';
import type { LakeWriterStatus } from '../../domain/status.ts';
import type { Clock } from '../../lib/clock.ts';
import { Wakeup } from '../../lib/wakeup.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import type { ValueModes } from './column-type.ts';
import type { Lake } from './lake.ts';
import type { Manifest } from './manifest.ts';
import { LakeDeadLetters } from './writer/dead-letters.ts';
import { Flush } from './writer/flush.ts';
import type { CopiesLeft } from './writer/incomplete.ts';
import { removeOrphans } from './writer/orphans.ts';
import type { SourceTable } from './writer/source-table.ts';
import { TableWriter } from './writer/table-writer.ts';

export type LakeWriterOptions = Readonly<{
  lake: Lake;
  log: EventLog;
  /** The writer's own: its statements wait for nobody else's. */
  engine: SqlEngine;
  clock: Clock;
  /** Whether a topic of the log holds the changes of a captured table; asked again at each flush, as tables come. */
  isTable: (topic: string) => boolean;
  /** Where the connector writes logical messages: `<prefix>.message`. It may not be there yet. */
  messageTopic: string;
  /** Where records that are no change events go. */
  deadLetterTopic: string;
  /** Asked when events show columns or values that the lake's columns are not made for; undefined: no longer there. */
  describe: (topic: string) => Promise<SourceTable | undefined>;
  /** Asked once when the log no longer holds records that the lake lacks: to have the table copied again. */
  onMissingHistory: (topic: string) => Promise<void>;
  /**
   * Which tables are still to be copied. All rows of one that is not among them are in the log.
   * Left out, or undefined: that can't be known, and every table counts as complete.
   */
  copiesLeft?: () => Promise<CopiesLeft | undefined>;
  /** How the connector writes values. */
  modes: ValueModes;
  flushEveryMs: number;
  onStatus: (status: LakeWriterStatus) => void;
  /** Of events that become one file. */
  fileBytes?: number;
}>;

/** Where files are while they are written. */
const DRAFTS = 'writing';

/**
 * Writes what the log holds of each table into the lake, in turns: each takes all that was in the
 * log at one moment, and one commit names its files together with the offsets up to which they
 * reach. So every change is in the lake once, whenever the writer dies: its files count only with
 * their offsets, and it begins again at those. The log itself is what waits for the next turn.
 */
export class LakeWriter {
  readonly #options: LakeWriterOptions;
  readonly #wakeup = new Wakeup();
  readonly #tables = new Map<string, TableWriter>();
  #requests: PromiseWithResolvers<Manifest>[] = [];
  #status: LakeWriterStatus;
  readonly #knownPartitions = new Set<string>();
  #hasEnded = false;

  constructor(options: LakeWriterOptions) {
    this.#options = options;
    this.#status = {
      component: 'lake-writer',
      atMs: options.clock.nowMs(),
      state: 'starting',
      lag: 0,
      rows: 0,
      unfitRows: 0,
      deadLetters: 0,
    };
  }

  /**
   * Writes until `signal` aborts. Throws `lake_busy` while another writer is at work, `lake_conflict`
   * when another was here meanwhile, `lake_of_other_log`, `disk_full` and `lake_unusable`; may then be run again, and goes
   * on where the lake's newest manifest ends.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { lake, log, deadLetterTopic } = this.#options;
    const deadLetters = new LakeDeadLetters(log, deadLetterTopic);
    this.#tell({ state: 'starting' });
    this.#hasEnded = false;
    try {
      using _writer = lake.lock('writer');
      await this.#cleanUp();
      while (!signal.aborted) {
        await this.#turn(deadLetters, signal);
        await this.#pause(signal);
      }
      this.#tell({ state: 'stopped' });
    } catch (error) {
      if (error !== signal.reason || !signal.aborted) throw this.#failed(error);
      this.#tell({ state: 'stopped' });
    } finally {
      this.#hasEnded = true;
      this.#answer(({ reject }) => reject(signal.reason ?? ended()));
      await deadLetters.close();
    }
  }

  /** Resolves once the lake holds all that was in the log at this call; rejects when `run` fails or ends before. */
  flush(): Promise<Manifest> {
    if (this.#hasEnded) return Promise.reject(ended());
    const request = Promise.withResolvers<Manifest>();
    this.#requests.push(request);
    this.#wakeup.raise();
    return request.promise;
  }

  async #cleanUp(): Promise<void> {
    const { lake } = this.#options;
    await rm(lake.path(DRAFTS), { recursive: true, force: true });
    await mkdir(lake.path(DRAFTS), { recursive: true });
    await removeOrphans(lake, await lake.manifest());
  }

  /** One flush, which answers all that asked before it began. */
  async #turn(deadLetters: LakeDeadLetters, signal: AbortSignal): Promise<void> {
    const requests = this.#requests;
    this.#requests = [];
    try {
      const manifest = await this.#flush(deadLetters, signal);
      for (const { resolve } of requests) resolve(manifest);
    } catch (error) {
      for (const { reject } of requests) reject(error);
      throw error;
    }
  }

  async #flush(deadLetters: LakeDeadLetters, signal: AbortSignal): Promise<Manifest> {
    const begin = (): Promise<Flush> =>
      Flush.begin(
        {
          ...this.#options,
          dir: this.#options.lake.path(DRAFTS),
          deadLetters,
          knownPartitions: this.#knownPartitions,
          tableWriter: (topic) => this.#tableWriter(topic),
          onProgress: (progress) => this.#progressed(progress),
        },
        signal,
      );
    let manifest: Manifest;
    try {
      manifest = await (await begin()).run();
    } catch (error) {
      // Retention came in between: what is left is looked for again.
      if (!(error instanceof MillraceError && error.code === 'offset_out_of_range')) throw error;
      manifest = await (await begin()).run();
    }
    this.#tell({ state: 'running', lag: 0, flushedAtMs: this.#options.clock.nowMs() });
    return manifest;
  }

  #tableWriter(topic: string): TableWriter {
    const known = this.#tables.get(topic);
    if (known !== undefined) return known;
    const { lake, messageTopic } = this.#options;
    const options = { ...this.#options, dir: lake.path(DRAFTS) };
    const writer = new TableWriter(topic, topic === messageTopic, options);
    this.#tables.set(topic, writer);
    return writer;
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { clock, flushEveryMs } = this.#options;
    const over = new AbortController();
    void clock.sleep(flushEveryMs, AbortSignal.any([signal, over.signal])).then(() => {
      if (!over.signal.aborted) this.#wakeup.raise();
    });
    await this.#wakeup.wait(signal);
    over.abort();
  }

  #progressed({
    lag,
    rows,
    unfit,
    deadLetters,
  }: Readonly<{ lag: number; rows: number; unfit: number; deadLetters: number }>): void {
    this.#tell({
      state: 'running',
      lag,
      rows: this.#status.rows + rows,
      unfitRows: this.#status.unfitRows + unfit,
      deadLetters: this.#status.deadLetters + deadLetters,
    });
  }

  #tell(news: Partial<LakeWriterStatus>): void {
    const { problem: _before, ...status } = this.#status;
    const { clock, onStatus } = this.#options;
    this.#status = { ...status, ...news, atMs: clock.nowMs() };
    onStatus(this.#status);
  }

  #failed(error: unknown): unknown {
    const problem = error instanceof Error ? error.message : String(error);
    this.#tell({ state: 'failed', problem });
    this.#answer(({ reject }) => reject(error));
    return error;
  }

  #answer(answer: (request: PromiseWithResolvers<Manifest>) => void): void {
    const requests = this.#requests;
    this.#requests = [];
    for (const request of requests) answer(request);
  }
}

function ended(): Error {
  return new Error('the lake writer has ended');
}
