import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { closeGate, closeGateAtExit, gateMemory } from '../../adapters/lmdb/transaction-gate.ts';
import { MillraceError } from '../../domain/errors.ts';
import { errorOf } from '../failure.ts';
import type { PartState, WorkerMessage, WorkerTask } from './worker-messages.ts';

/** What it takes to end in order: the last append, the last commit. */
const STOP_PATIENCE_MS = 1500;

/**
 * Runs a role in a thread of its own until `signal` aborts, and waits for its end. Throws what
 * kept it from starting, and `worker_died` when the thread ends though nobody told it to.
 */
export async function runWorker(
  task: Omit<WorkerTask, 'gate'>,
  onPart: (part: string, state: PartState) => void,
  signal: AbortSignal,
): Promise<void> {
  const gate = gateMemory();
  const workerData: WorkerTask = { ...task, gate };
  const worker = new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), {
    workerData,
    name: `millrace ${task.role}`,
  });
  const ended = Promise.withResolvers<void>();
  let failure: Error | undefined;
  worker.on('message', (message: WorkerMessage) => {
    if (message.kind === 'part') onPart(message.part, message.state);
    else failure = errorOf(message.failure);
  });
  worker.on('error', (error) => {
    failure = new MillraceError('worker_died', { part: task.role, found: String(error) }, error);
  });
  worker.on('exit', (exitCode) => {
    if (failure !== undefined) ended.reject(failure);
    else if (signal.aborted) ended.resolve();
    else ended.reject(new MillraceError('worker_died', { part: task.role, exitCode }));
  });
  let patience: NodeJS.Timeout | undefined;
  const stop = (): void => {
    worker.postMessage('stop');
    // What it has not finished by then is done again after the next start: that is what positions are for.
    patience = setTimeout(
      () => void closeGate(gate).then(() => worker.terminate()),
      STOP_PATIENCE_MS,
    );
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  const onExit = (): void => closeGateAtExit(gate);
  process.on('exit', onExit);
  try {
    await ended.promise;
  } finally {
    clearTimeout(patience);
    process.off('exit', onExit);
    signal.removeEventListener('abort', stop);
  }
}
