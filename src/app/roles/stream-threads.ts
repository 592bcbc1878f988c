import type { Part } from '../compose.ts';
import { runWorker } from './run-worker.ts';
import type { PartState, WorkerTask } from './worker-messages.ts';

export type StreamTask = Omit<WorkerTask, 'role' | 'gate' | 'share'>;

/**
 * The threads that run the processors, each a part: one that dies is started again, and takes up its
 * share where the store says. They are told apart as workers are that are processes, by `t1`, `t2`,
 * and so are the parts that run in them; one thread alone needs no name.
 */
export function streamThreads(
  task: StreamTask,
  onPart: (part: string, state: PartState) => void,
): Part[] {
  const of = task.stream.threads;
  return namesOf(of).map((thread, index) => ({
    name: inThread('stream', thread),
    run: (signal) =>
      runWorker(
        { ...task, role: 'stream', share: { index, of }, worker: workerOf(task.worker, thread) },
        (part, state) => onPart(inThread(part, thread), state),
        signal,
      ),
  }));
}

/** What a part is called in each of so many threads. */
export function inThreads(part: string, count: number): readonly string[] {
  return namesOf(count).map((thread) => inThread(part, thread));
}

function namesOf(count: number): readonly (string | undefined)[] {
  return count === 1 ? [undefined] : Array.from({ length: count }, (_, index) => `t${index + 1}`);
}

function inThread(part: string, thread: string | undefined): string {
  return thread === undefined ? part : `${part} in ${thread}`;
}

function workerOf(process: string | undefined, thread: string | undefined): string | undefined {
  const parts = [process, thread].filter((each) => each !== undefined);
  return parts.length === 0 ? undefined : parts.join('-');
}
