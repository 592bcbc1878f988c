import { MillraceError } from '../../domain/errors.ts';
import type { Failure } from './failure.ts';

/** What becomes of a record that fails. Without one it is a dead letter at once. */
export type OnError = Readonly<{
  /** So often it is tried again before it is given up; 0 unless set. For what mends itself: a service that is asked. */
  retries?: number;
  /** Before the first repetition; twice as long before each other one, up to a minute. 1000 unless set. */
  backoffMs?: number;
  /** Given up, it is a dead letter and the rest flows on, unless the processor is to stop before it. */
  giveUp?: 'dead-letter' | 'stop';
}>;

export type Verdict =
  | Readonly<{ does: 'again'; afterMs: number }>
  | Readonly<{ does: 'dead-letter' }>
  | Readonly<{ does: 'stop' }>;

const BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 60_000;

/** Decides what becomes of one task's failed records, and counts how often each was tried. */
export class ErrorPolicy {
  readonly #onError: OnError;
  #tried = { offset: -1, times: 0 };

  constructor(onError: OnError = {}) {
    this.#onError = onError;
  }

  /** Counts a failure of the record at this offset. */
  judge(offset: number, { stage }: Failure): Verdict {
    const { retries = 0, backoffMs = BACKOFF_MS, giveUp = 'dead-letter' } = this.#onError;
    const before = this.#tried.offset === offset ? this.#tried.times : 0;
    // What can't be decoded, or a sink has refused for good, is the same the next time.
    if (stage !== 'process' || before >= retries) return { does: giveUp };
    this.#tried = { offset, times: before + 1 };
    return { does: 'again', afterMs: Math.min(MAX_BACKOFF_MS, backoffMs * 2 ** before) };
  }
}

/** Ends a processor whose policy it is to stop. */
export function processorStopped(
  at: Readonly<{ processor: string; task: string; offset: number }>,
  { stage, step, name, message }: Failure,
): MillraceError {
  const facts = { ...at, stage, ...(step !== undefined && { step }) };
  return new MillraceError('processor_stopped', { ...facts, found: `${name}: ${message}` });
}
