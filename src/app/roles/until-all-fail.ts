import type { Supervised } from '../../lib/supervise.ts';
import type { Part } from '../compose.ts';
import { runParts } from './run-parts.ts';
import { partStateOf, type PartState } from './worker-messages.ts';

/**
 * Runs parts, those `beside` them and the `last`, until `signal` aborts or none of the parts is left
 * that could go on: then throws what the last of them failed with.
 */
export async function untilAllFail(
  {
    parts,
    beside,
    last,
  }: Readonly<{ parts: readonly Part[]; beside: readonly Part[]; last: readonly Part[] }>,
  onState: (part: string, state: PartState) => void,
  signal: AbortSignal,
): Promise<void> {
  const ended = new AbortController();
  const left = new Set(parts.map(({ name }) => name));
  let failure: { error: unknown } | undefined;
  const onEach = (name: string, state: Supervised): void => {
    onState(name, partStateOf(state));
    if (state.state !== 'failed' && state.state !== 'stopped') return;
    if (!left.delete(name) || left.size > 0) return;
    if (state.state === 'failed') failure = { error: state.error };
    ended.abort();
  };
  await runParts([...parts, ...beside], last, onEach, AbortSignal.any([signal, ended.signal]));
  if (failure !== undefined) throw failure.error;
}
