import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { sendKill } from './server.ts';

export const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const LOOK_EVERY_MS = 20;

export type MillraceOptions = Readonly<{
  arguments: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Without a `.env` that would count. */
  cwd: string;
  /** What it prints is appended to it. */
  logFile: string;
}>;

/** A `millrace` of the test's own; it ends with the test. */
export class MillraceProcess {
  readonly #child: ChildProcess;
  readonly #what: string;
  readonly #exited: Promise<number | NodeJS.Signals>;
  #end: number | NodeJS.Signals | undefined;

  private constructor(child: ChildProcess, { arguments: given, logFile }: MillraceOptions) {
    this.#child = child;
    this.#what = `millrace ${given[0]} (it printed ${logFile})`;
    const killIt = (): void => void child.kill('SIGKILL');
    process.once('exit', killIt);
    this.#exited = once(child, 'exit').then((ended) => {
      process.off('exit', killIt);
      const [code, signal] = ended as [number | null, NodeJS.Signals | null];
      this.#end = code ?? signal ?? 0;
      return this.#end;
    });
  }

  static start(options: MillraceOptions): MillraceProcess {
    const log = openSync(options.logFile, 'a');
    try {
      const child = spawn(process.execPath, [MAIN, ...options.arguments], {
        cwd: options.cwd,
        env: { ...ownEnvironment(), ...options.env },
        stdio: ['ignore', log, log],
      });
      return new MillraceProcess(child, options);
    } finally {
      closeSync(log);
    }
  }

  async kill(): Promise<void> {
    if (this.#end === undefined && this.#child.pid !== undefined) sendKill(this.#child.pid);
    await this.#exited;
  }

  /** As Ctrl-C does; throws when it then fails, or does not end. */
  async stop(): Promise<void> {
    this.#child.kill('SIGINT');
    await this.succeeds(20_000);
  }

  /** Waits for its end; throws when it fails, or does not end. */
  async succeeds(patienceMs: number): Promise<void> {
    const end = await Promise.race([this.#exited, wait(patienceMs, undefined, { ref: false })]);
    if (end === undefined) throw new Error(`${this.#what} did not end within ${patienceMs} ms`);
    if (end !== 0) throw new Error(`${this.#what} ended with ${end}`);
  }

  /** Looks until it is so; throws when the process has ended, or after `patienceMs`. */
  async until(what: string, patienceMs: number, isSo: () => Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    while (!(await isSo())) {
      if (this.#end !== undefined)
        throw new Error(`${this.#what} ended with ${this.#end} before ${what}`);
      if (performance.now() > deadlineMs)
        throw new Error(`${this.#what}: not ${what} within ${patienceMs} ms`);
      await wait(LOOK_EVERY_MS);
    }
  }
}

/** Nothing of the tester's own configuration counts. */
export function ownEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(MILLRACE|POSTGRES|MOCK_DATA|STREAM)_/.test(name),
    ),
  );
}
