import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { callOperation } from '../src/app/operations/call.ts';
import type {
  ArgumentsOf,
  OperationName,
  StatusReport,
  ValueOf,
} from '../src/app/operations/operations.ts';
import { resetData } from '../src/app/operations/reset.ts';
import { must } from '../src/lib/must.ts';
import { temporaryFolder } from './postgres.ts';

const MAIN = join(import.meta.dirname, '../src/cli/main.ts');
/** Kept between runs, and keyed by content: most of a start is compiling. */
const COMPILE_CACHE = join(tmpdir(), 'millrace-compile-cache');
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 50;
const NEVER = new AbortController().signal;

export type Ended = Readonly<{ exitCode: number | null; out: string; err: string }>;

export type Running = Readonly<{
  pid: number;
  ended: Promise<Ended>;
  /** Resolves when what it printed, on either stream, matches; rejects when it ends before. */
  until(pattern: RegExp): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}>;

export type Environment = Readonly<Record<string, string>>;

/** `millrace` as a user runs it, in processes of its own, on a data directory in a temporary folder. */
export class CommandLine implements AsyncDisposable {
  readonly folder: string;
  readonly dataDir: string;
  /** Of the commands that are started from now on; empty: that of their own choice. */
  pipelineDir: string;
  env: Environment;
  readonly #main: string;
  readonly #running = new Set<Running>();

  private constructor(
    folder: string,
    dataDir: string,
    pipelineDir: string,
    env: Environment,
    main: string,
  ) {
    this.folder = folder;
    this.dataDir = dataDir;
    this.pipelineDir = pipelineDir;
    this.env = env;
    this.#main = main;
  }

  static async make({
    pipelineDir = join(import.meta.dirname, '../pipelines/shop'),
    env = {} as Environment,
    dataDirOf = (folder: string) => join(folder, 'data'),
    main = MAIN,
  } = {}): Promise<CommandLine> {
    const folder = await temporaryFolder('millrace-test-');
    return new CommandLine(folder, dataDirOf(folder), pipelineDir, env, main);
  }

  run(...given: readonly string[]): Promise<Ended> {
    return this.start(...given).ended;
  }

  /** Runs a command to its end, and throws unless that is a success; returns what it printed. */
  async succeed(...given: readonly string[]): Promise<string> {
    const { exitCode, out, err } = await this.run(...given);
    if (exitCode !== 0) throw new Error(`millrace ${given.join(' ')}: ${exitCode}\n${err}${out}`);
    return out;
  }

  start(...given: readonly string[]): Running {
    const pipeline = this.pipelineDir === '' ? [] : ['--pipeline', this.pipelineDir];
    const place = ['--data-dir', this.dataDir, ...pipeline];
    const child = spawn(process.execPath, [this.#main, ...place, ...given], {
      cwd: this.folder,
      env: { ...withoutOwn(process.env), NODE_COMPILE_CACHE: COMPILE_CACHE, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const running = observe(child, `millrace ${given.join(' ')}`);
    this.#running.add(running);
    const forget = (): void => void this.#running.delete(running);
    running.ended.then(forget, forget);
    return running;
  }

  /** Starts `up`, and returns once the connector streams. */
  async up(...given: readonly string[]): Promise<Running> {
    const running = this.start('up', ...given);
    await running.until(/streaming \|/);
    return running;
  }

  /** Asked in this process, which is quicker than by the command line. */
  ask<Name extends OperationName>(name: Name, args: ArgumentsOf<Name>): Promise<ValueOf<Name>[]> {
    return Array.fromAsync(callOperation({ dataDir: this.dataDir }, name, args, NEVER));
  }

  async status(): Promise<StatusReport> {
    return must((await this.ask('status', {}))[0], 'status answers once');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // In order, so that an embedded server ends too; what does not end is killed.
    await Promise.allSettled(
      [...this.#running].map(async (running) => {
        running.kill('SIGINT');
        const patience = new AbortController();
        await Promise.race([
          running.ended,
          wait(10_000, undefined, { signal: patience.signal }).then(() => running.kill('SIGKILL')),
        ]);
        patience.abort();
        await running.ended;
      }),
    );
    await resetData({ dataDir: this.dataDir }, NEVER).catch(() => undefined); // Some tests spoil it.
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Looks until it is so. */
export async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`not ${what} within ${PATIENCE_MS} ms`);
    await wait(LOOK_EVERY_MS);
  }
}

/** The lines that `--json` printed. */
export function jsonLines(out: string): Record<string, unknown>[] {
  const lines = out.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

function observe(child: ChildProcess, what: string): Running {
  const printed = { out: '', err: '' };
  const lookers = new Set<() => void>();
  for (const [name, stream] of [
    ['out', child.stdout],
    ['err', child.stderr],
  ] as const) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text;
      for (const look of lookers) look();
    });
  }
  const kill = (signal: NodeJS.Signals): void => void child.kill(signal);
  const killAtExit = (): void => kill('SIGKILL');
  process.once('exit', killAtExit);
  const ended = once(child, 'close').then(([exitCode]): Ended => {
    process.off('exit', killAtExit);
    return { exitCode: exitCode as number | null, ...printed };
  });
  const until = async (pattern: RegExp): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => {
      if (pattern.test(printed.out + printed.err)) resolve();
    };
    const failed = (why: string): void =>
      reject(new Error(`${what} ${why} ${String(pattern)}:\n${printed.out}${printed.err}`));
    const timer = setTimeout(() => failed('did not print'), PATIENCE_MS);
    lookers.add(look);
    look();
    ended.then(() => failed('ended without'), reject);
    await promise.finally(() => {
      clearTimeout(timer);
      lookers.delete(look);
    });
  };
  return { pid: must(child.pid, 'it was spawned'), ended, until, kill };
}

/** Nothing of the tester's own configuration counts. */
function withoutOwn(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) => !/^(MILLRACE|POSTGRES|MOCK_DATA|STREAM|LOG|SHOP|WAREHOUSE)_/.test(name),
    ),
  );
}
