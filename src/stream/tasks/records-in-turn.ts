import type { MillraceError } from '../../domain/errors.ts';
import type { LogRecord } from '../../domain/record-block.ts';
import type { Clock } from '../../lib/clock.ts';
import { ErrorPolicy, processorStopped } from './error-policy.ts';
import type { Failure } from './failure.ts';
import type { ParkingLot } from './parking-lot.ts';
import type { Prepared, RecordHandler, TaskSubject } from './record-handler.ts';
import type { Ticks } from './ticks.ts';

export type RecordsInTurnOptions = Readonly<{
  subject: TaskSubject;
  task: string;
  /** `<topic>-<partition>`. */
  partitionId: string;
  handler: RecordHandler;
  parking: ParkingLot;
  ticks: Ticks | undefined;
  clock: Clock;
  onProblem: (problem: string) => void;
}>;

/**
 * Works on the records of a task in their turn, ticks in between: each is done, or parked, or has
 * the task stop before it, as the policy of its processor says.
 */
export class RecordsInTurn {
  readonly #options: RecordsInTurnOptions;
  readonly #policy: ErrorPolicy;
  #stopped: MillraceError | undefined;
  #ticked = 0;

  constructor(options: RecordsInTurnOptions) {
    this.#options = options;
    this.#policy = new ErrorPolicy(options.subject.onError);
  }

  /** Why the task may not go past the next record. */
  get stopped(): MillraceError | undefined {
    return this.#stopped;
  }

  /** Ticks obeyed. */
  get ticked(): number {
    return this.#ticked;
  }

  /** Begins at `next`, with so many ticks obeyed. */
  async rewind(next: number, ticked: number, signal: AbortSignal): Promise<void> {
    this.#stopped = undefined;
    this.#ticked = ticked;
    await this.#options.ticks?.load(next, ticked, signal);
  }

  /**
   * Returns how many are done: all, unless `until` aborts while one waits to be tried again, or the
   * processor is to stop before one.
   */
  async process(records: readonly LogRecord[], until: AbortSignal): Promise<number> {
    const { handler, parking, ticks } = this.#options;
    const waits = (record: LogRecord): boolean => parking.waits(record);
    for (const [at, prepared] of (await handler.prepare(records, waits)).entries()) {
      const { record, does } = prepared;
      if (ticks !== undefined && ticks.isDue(record.offset)) await this.obeyTicks(record.offset);
      if (does === 'nothing' || parking.has(record)) continue;
      if (parking.parkBehind(record)) continue;
      const outcome = handler.attempt(prepared);
      const failed = outcome instanceof Promise ? await outcome : outcome;
      if (failed === undefined) {
        if (does === 'truncate') parking.truncated(record);
      } else if (!(await this.#settle(prepared, failed, until))) return at;
    }
    return records.length;
  }

  /** Obeys the ticks that stand before the record at `offset`; says whether there were any. */
  async obeyTicks(offset: number): Promise<boolean> {
    const { handler, ticks } = this.#options;
    let hasObeyed = false;
    for (let tick = ticks?.takeBefore(offset); tick !== undefined; hasObeyed = true) {
      await handler.timer?.advance(tick.timeMs, tick);
      this.#ticked = tick.number;
      tick = ticks?.takeBefore(offset);
    }
    return hasObeyed;
  }

  /** Time that has passed at `next`, if that is news: told to the log, then obeyed. */
  async pass(timeMs: number, next: number): Promise<boolean> {
    const { handler, ticks } = this.#options;
    const reachedMs = handler.timer?.reachedMs() ?? Infinity;
    if (ticks === undefined || reachedMs >= timeMs) return false;
    await ticks.append(next, timeMs);
    return this.obeyTicks(next);
  }

  /** Tries a failed record again as often as the policy has it; false where it stays undone. */
  async #settle(prepared: Prepared, first: Failure, until: AbortSignal): Promise<boolean> {
    const { handler, parking, clock, subject, task, partitionId, onProblem } = this.#options;
    const { record, does } = prepared;
    const { offset } = record;
    const isTruncate = does === 'truncate';
    for (let failed: Failure | undefined = first; failed !== undefined;) {
      const verdict = this.#policy.judge(offset, failed);
      if (verdict.does === 'stop') {
        this.#stopped = processorStopped({ processor: subject.name, task, offset }, failed);
        return false;
      }
      if (verdict.does === 'dead-letter') {
        parking.park(record, failed, isTruncate);
        return true;
      }
      const { name, message } = failed;
      const at = `offset ${offset} of ${partitionId}`;
      onProblem(`${at} is tried again in ${verdict.afterMs} ms: ${name}: ${message}`);
      await clock.sleep(verdict.afterMs, until);
      if (until.aborted) return false;
      failed = await handler.attempt(prepared);
    }
    if (isTruncate) parking.truncated(record);
    return true;
  }
}
