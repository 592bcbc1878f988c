import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MillraceError } from '../domain/errors.ts';
import { Bell } from '../lib/bell.ts';
import { answerOperation } from './answer.ts';
import { readConfig } from './config.ts';
import { openLog, openStore } from './compose.ts';
import { askControlSocket } from './control-socket.ts';
import { DataDirectory, FORMAT_FILE } from './data-directory.ts';
import type { OperationContext } from './operation-context.ts';
import type { ArgumentsOf, OperationName, ValueOf } from './operations.ts';
import { StatusBoard } from './status-board.ts';

const STOP_PATIENCE_MS = 30_000;

/**
 * Asks the Millrace that runs on `dataDir`; when none does, takes the lock for as long as the
 * answer takes, and answers from the files. Ends early, without an error, when `signal` aborts.
 */
export async function* callOperation<Name extends OperationName>(
  dataDir: string,
  name: Name,
  args: ArgumentsOf<Name>,
  signal: AbortSignal,
): AsyncGenerator<ValueOf<Name>, void> {
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
    yield* answerFromFiles(dataDir, name, args, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function* answerFromFiles<Name extends OperationName>(
  dataDir: string,
  name: Name,
  args: ArgumentsOf<Name>,
  signal: AbortSignal,
): AsyncGenerator<ValueOf<Name>, void> {
  // To look is no reason to create: a mistyped --data-dir shows as what it is.
  if (!existsSync(join(dataDir, FORMAT_FILE)))
    throw new MillraceError('not_running', { dir: dataDir, found: 'no data there' });
  using _held = await DataDirectory.open(dataDir, name);
  const places = readConfig({}, { dataDir });
  await using log = await openLog(places, Bell.memory());
  await using store = await openStore(places);
  const statuses = new StatusBoard(log);
  await statuses.load();
  const context: OperationContext = {
    dataDir,
    log,
    store,
    statuses,
    clock: Date.now,
    running: undefined,
  };
  yield* answerOperation(name, args, context, signal) as AsyncIterable<ValueOf<Name>>;
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
