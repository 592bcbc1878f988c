import type { ConnectorStatus, Status } from '../../domain/status.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { readTo } from '../../ports/read-to.ts';
import { STATUS } from '../topics.ts';

/** Whoever lives has told of itself in this time. */
const LATELY_MS = 60_000;
/** A connector that tells no progress, and carried no change for so long, has carried all of before. */
const IDLE_MS = 30_000;

/**
 * Reads how far the source's time has passed, from what its connector tells in the log, in whichever
 * process that runs: every change committed before is in the log. To be called as often as one likes;
 * a call reads only what was told since the last. Resolves to undefined while nothing is known.
 *
 * Debezium tells no progress. There it is by time: what was committed half a minute ago, and of which
 * nothing has come since, does not come; a connector that takes longer for a change makes it late.
 */
export function sourceProgress(
  log: EventLog,
  {
    connector,
    engine,
    clock,
  }: Readonly<{ connector: string; engine: 'native' | 'debezium'; clock: () => number }>,
): (signal: AbortSignal) => Promise<number | undefined> {
  const told = new ToldProgress(connector, engine === 'debezium');
  const topic = { topic: STATUS, partition: 0 };
  let next: number | undefined;
  return async (signal) => {
    const { start, end } = await log.offsets(topic);
    const from = Math.max(start, next ?? (await log.offsetAt(topic, clock() - LATELY_MS)));
    for await (const records of readTo(log, { ...topic, offset: from }, end, signal))
      for (const { value } of records) {
        if (value !== null) told.tell(JSON.parse(Buffer.from(value).toString('utf8')) as Status);
      }
    if (!signal.aborted) next = end;
    return told.passedMs;
  };
}

/** What was told once stays true: a status without progress takes none back. */
class ToldProgress {
  readonly #connector: string;
  readonly #isByTime: boolean;
  #passedMs: number | undefined;
  /** Since when, by its own clock, a connector that tells no progress has streamed and carried nothing. */
  #idle: Readonly<{ sinceMs: number; of: string }> | undefined;

  constructor(connector: string, isByTime: boolean) {
    this.#connector = connector;
    this.#isByTime = isByTime;
  }

  get passedMs(): number | undefined {
    return this.#passedMs;
  }

  tell(status: Status): void {
    if (status.component !== 'connector' || status.name !== this.#connector) return;
    const { passedMs, atMs } = status;
    if (passedMs !== undefined) this.#passedMs = Math.max(this.#passedMs ?? 0, passedMs);
    if (!this.#isByTime) return;
    const of = signOf(status);
    if (of !== this.#idle?.of) this.#idle = { sinceMs: atMs, of };
    const idleMs = atMs - this.#idle.sinceMs;
    if (status.state === 'streaming' && idleMs >= IDLE_MS)
      this.#passedMs = Math.max(this.#passedMs ?? 0, atMs - IDLE_MS);
  }
}

/** Another one shows that the connector has carried a change, or is not the same. */
function signOf({ worker, state, changes }: ConnectorStatus): string {
  return `${worker ?? ''} ${state} ${changes}`;
}
