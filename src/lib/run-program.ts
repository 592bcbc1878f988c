import { spawn } from 'node:child_process';
import type { SpawnOptions } from 'node:child_process';

/** What a program printed, on either stream, and how it ended: `code` is null after a signal. */
export type Ending = Readonly<{ code: number | null; output: string }>;

/**
 * Runs a program to its end, in a process group of its own, so that Ctrl-C reaches it through us
 * alone. When `signal` aborts, the whole group is killed and the signal's reason thrown. Throws
 * also when the program cannot be started.
 */
export function runProgram(
  file: string,
  args: readonly string[],
  options: Pick<SpawnOptions, 'cwd' | 'env' | 'uid' | 'gid'>,
  signal: AbortSignal,
): Promise<Ending> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      ...options,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const kill = (): void => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
    signal.addEventListener('abort', kill, { once: true });
    const chunks: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.once('error', (error) => {
      signal.removeEventListener('abort', kill);
      reject(error);
    });
    child.once('close', (code) => {
      signal.removeEventListener('abort', kill);
      if (signal.aborted) reject(signal.reason as Error);
      else resolve({ code, output: Buffer.concat(chunks).toString() });
    });
  });
}
