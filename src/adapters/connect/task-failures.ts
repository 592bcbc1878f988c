import { backoffMs } from '../../lib/backoff.ts';
import type { ConnectStatus } from './rest.ts';

/** Running for so long, a task had recovered: its next failure counts as a first one. */
const RECOVERED_AFTER_MS = 60_000;

/** Decides when failed tasks are started again: later each time. Connect itself never does. */
export class TaskFailures {
  readonly #random: () => number;
  #attempt = 0;
  #dueMs: number | undefined;
  #restartedMs = 0;

  /** `random` gives numbers in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Whether they are to be started now. Asked at each look, failed or not. */
  isDue(isFailed: boolean, nowMs: number): boolean {
    if (!isFailed) {
      this.#dueMs = undefined;
      if (nowMs - this.#restartedMs >= RECOVERED_AFTER_MS) this.#attempt = 0;
      return false;
    }
    if (this.#dueMs === undefined) {
      this.#attempt += 1;
      this.#dueMs = nowMs + backoffMs(this.#attempt, this.#random);
    }
    if (nowMs < this.#dueMs) return false;
    this.#dueMs = undefined;
    this.#restartedMs = nowMs;
    return true;
  }
}

/** Why a connector or its task has failed, as its last cause says it; undefined while none has. */
export function failureIn({ connector, tasks }: ConnectStatus): string | undefined {
  const failed = [connector, ...tasks].find(({ state }) => state === 'FAILED');
  return failed && lastCause(failed.trace ?? 'no reason is given');
}

/** Starting such a task again can never help: what it has to read is gone. */
export function isHopeless(said: string): boolean {
  return /no longer available on the server|can no longer (get|access)|wal_removed|invalidated/.test(
    said,
  );
}

/** Of a Java stack trace: the innermost exception, without its class. */
function lastCause(trace: string): string {
  const lines = trace.split('\n').filter((line) => line !== '' && !/^\s+(at |\.\.\. )/.test(line));
  const starts = lines.flatMap((line, at) => (line.startsWith('Caused by: ') ? [at] : []));
  const cause = lines.slice(starts.at(-1) ?? 0).map((line) => line.trim());
  return cause
    .join(' ')
    .replace(/^(Caused by: )?([\w$.]+(Exception|Error)): /, '')
    .slice(0, 1000);
}
