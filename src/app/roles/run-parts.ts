import { remedyFor } from '../../domain/errors.ts';
import { systemClock } from '../../lib/clock.ts';
import { untilAborted } from '../../lib/until-aborted.ts';
import { supervise, type Supervised } from '../../lib/supervise.ts';
import type { Part } from '../compose.ts';

/**
 * Runs parts side by side until `signal` aborts, each started again when its failure mends itself;
 * one that fails for good leaves the others alone. Then runs `last` parts to their end: those
 * tell how it ended. Never rejects: what becomes of a part goes to `onState`.
 */
export async function runParts(
  parts: readonly Part[],
  last: readonly Part[],
  onState: (part: string, state: Supervised) => void,
  signal: AbortSignal,
): Promise<void> {
  const ended = new AbortController();
  const start = (part: Part, until: AbortSignal) =>
    supervise(part.name, (stop) => part.run(stop), {
      signal: until,
      retryOf: (error) => remedyFor(error).retry,
      clock: systemClock,
      random: Math.random,
      onState,
    });
  const running = parts.map((part) => start(part, signal));
  const telling = last.map((part) => start(part, ended.signal));
  await Promise.all(running);
  // Parts that have failed are still told of while the others, or nobody, run.
  await untilAborted(signal);
  ended.abort();
  await Promise.all(telling);
}
