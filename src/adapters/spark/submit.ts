import { spawn } from 'node:child_process';
import { MillraceError } from '../../domain/errors.ts';
import { LastOutput } from './last-output.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** How `spark-submit` is started. */
export type Submit = Readonly<{
  program: string;
  args: readonly string[];
  /** All that it and Spark see of the environment. */
  env: Environment;
  cwd: string;
}>;

/**
 * Runs `spark-submit` to its end, in a process group of its own, and gives the last of what it
 * printed. Rejects with `warehouse_unavailable`, with what it said, when it can't be started or ends
 * with an error. When `signal` aborts, the whole group is killed; then, once all of it has ended,
 * rejects with the signal's reason.
 */
export async function submit(
  { program, args, env, cwd }: Submit,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const output = new LastOutput(env);
    const child = spawn(program, args, {
      cwd,
      env: { ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => output.add(text));
    const kill = (): void => {
      if (child.pid !== undefined) killGroup(child.pid);
    };
    signal.addEventListener('abort', kill, { once: true });
    const end = (): void => signal.removeEventListener('abort', kill);
    child.once('error', (error) => {
      end();
      reject(unavailable(program, { found: startFailure(error) }, error));
    });
    child.once('close', (code, endedBy) => {
      end();
      if (signal.aborted) return reject(signal.reason as Error);
      if (code === 0) return resolve(output.text);
      // What spark-submit has started does not outlive it.
      kill();
      const ended = `ended with ${code ?? endedBy}`;
      const facts = isWithoutJava(output.text)
        ? { found: 'no Java: install a Java 17 or newer, or name one with JAVA_HOME' }
        : { found: ended, said: output.lastLines() };
      return reject(unavailable(program, facts));
    });
  });
}

function unavailable(
  program: string,
  facts: Readonly<Record<string, unknown>>,
  cause?: unknown,
): MillraceError {
  return new MillraceError('warehouse_unavailable', { program, ...facts }, cause);
}

function startFailure(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT')
    return 'no such program: install Spark, and name its spark-submit with MILLRACE_SPARK_SUBMIT';
  if (error.code === 'EACCES')
    return 'not a program that may be run: name a spark-submit with MILLRACE_SPARK_SUBMIT';
  return error.message;
}

/** As Spark's scripts, and the shell in them, say it. */
function isWithoutJava(said: string): boolean {
  return /JAVA_HOME is not set|java: (command )?not found|\/bin\/java: No such file/.test(said);
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
