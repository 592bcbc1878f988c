import { MillraceError } from '../../domain/errors.ts';
import { askControlSocket } from './control-socket.ts';
import { DataDirectory } from '../config/data-directory.ts';
import type { ArgumentsOf, OperationName, ValueOf } from './operations.ts';
import type { OperationPlace } from './remote-context.ts';

const STOP_PATIENCE_MS = 30_000;

/**
 * Asks the Millrace that runs on the data directory; when none does, answers here: from the servers
 * that the environment names, or from the files, whose lock is taken for as long as that takes.
 * Ends early, without an error, when `signal` aborts.
 */
export async function* callOperation<Name extends OperationName>(
  place: OperationPlace,
  name: Name,
  args: ArgumentsOf<Name>,
  signal: AbortSignal,
): AsyncGenerator<ValueOf<Name>, void> {
  const { dataDir } = place;
  try {
    let isAnswered = false;
    try {
      for await (const value of askControlSocket(dataDir, name, args, signal)) {
        isAnswered = true;
        if (name === 'stop') await untilEnded(dataDir, (value as ValueOf<'stop'>).pid);
        yield value as ValueOf<Name>;
      }
      return;
    } catch (error) {
      const isAlone = error instanceof MillraceError && error.code === 'not_running';
      if (!isAlone || isAnswered) throw error;
    }
    // Who is answered by the Millrace that runs need not load what answers.
    const { RemoteContext } = await import('./remote-context.ts');
    const { answerOperation } = await import('./answer.ts');
    await using context = await RemoteContext.open(place, name);
    const either = AbortSignal.any([signal, context.failed]);
    const answers = answerOperation(name, args, context.operations, either);
    yield* answers as AsyncIterable<ValueOf<Name>>;
    context.failed.throwIfAborted();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** The lock is given back last, after the server has ended; the process is gone a moment later. */
async function untilEnded(dataDir: string, pid: number): Promise<void> {
  try {
    using _held = await DataDirectory.open(dataDir, 'down', STOP_PATIENCE_MS);
  } catch (error) {
    if (!(error instanceof MillraceError && error.code === 'data_dir_locked')) throw error;
    throw new MillraceError('stop_timed_out', { pid, waitedMs: STOP_PATIENCE_MS }, error);
  }
}
