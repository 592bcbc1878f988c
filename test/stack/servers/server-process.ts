import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { logFolder } from './log-folder.ts';

export type ServerCommand = Readonly<{
  /** Of its log file, with the port. */
  name: string;
  program: string;
  args: readonly string[];
  /** Added to the environment of the tests. */
  env?: Readonly<Record<string, string>>;
  /** Where it is started; else where the tests are. */
  cwd?: string;
  /** Names the package that has the program. */
  missing: string;
  /** Given what this start has logged; asked again and again until it says yes. */
  isReady(logged: string): boolean | Promise<boolean>;
}>;

/** What a test does to a server that it was given. */
export type ServerControls = Readonly<{
  /** Of the server itself, to be measured; throws while it does not run. */
  pid(): number;
  /** Whether it has ended though nobody told it to. */
  hasEndedByItself(): boolean;
  /** Of all its starts. */
  logFile: string;
  logged(): Promise<string>;
  /** kill -9. Settles when the server has ended, without writing anything more. */
  kill(): Promise<void>;
  /** SIGTERM. Settles when the server has ended; one that does not in time is killed. */
  stop(): Promise<void>;
  /** After `kill` or `stop`: on the same port and data. Settles when the server is ready. */
  restart(): Promise<void>;
  /** SIGSTOP: once it returns, the server keeps its connections and answers nothing until `resume`. */
  pause(): void;
  resume(): void;
}>;

const LOOK_EVERY_MS = 50;
const PATIENCE_MS = 100_000;
const LAST_WORDS = 30;

/**
 * A server of a test's own that can be killed, paused and started again. It ends with the process of
 * the tests, however that one ends.
 */
export class ServerProcess implements AsyncDisposable {
  readonly logFile: string;
  readonly #command: ServerCommand;
  #child: ChildProcess | undefined;

  private constructor(command: ServerCommand) {
    this.#command = command;
    this.logFile = join(logFolder(), `${command.name}.log`);
  }

  /** Returns when the server is ready. */
  static async start(command: ServerCommand): Promise<ServerProcess> {
    const server = new ServerProcess(command);
    await server.start();
    return server;
  }

  get controls(): ServerControls {
    return {
      pid: () => this.#pid(),
      hasEndedByItself: () => this.#child !== undefined && hasEnded(this.#child),
      logFile: this.logFile,
      logged: () => this.#logged(),
      kill: () => this.kill(),
      stop: () => this.#end('SIGTERM'),
      restart: () => this.start(),
      pause: () => pauseProcess(this.#pid()),
      resume: () => void process.kill(this.#pid(), 'SIGCONT'),
    };
  }

  async start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this.#command.name} runs already`);
    const before = (await this.#logged()).length;
    const child = this.#spawn();
    this.#child = child;
    try {
      await this.#untilReady(child, before);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.#command.name} does not run`);
    return pid;
  }

  #logged(): Promise<string> {
    return readFile(this.logFile, 'utf8').catch(() => '');
  }

  #spawn(): ChildProcess {
    const { program, args, env, cwd } = this.#command;
    // A killed test process runs no handler: there the system ends the server.
    const [file, ...given] =
      process.platform === 'linux'
        ? (['setpriv', '--pdeathsig', 'KILL', '--', program, ...args] as const)
        : ([program, ...args] as const);
    const log = openSync(this.logFile, 'a');
    try {
      const child = spawn(file, given, {
        env: { ...process.env, ...env },
        cwd,
        stdio: ['ignore', log, log],
      });
      endWithThisProcess(child);
      return child;
    } finally {
      closeSync(log);
    }
  }

  async #untilReady(child: ChildProcess, before: number): Promise<void> {
    const { name, program, missing, isReady } = this.#command;
    let failure: NodeJS.ErrnoException | undefined;
    child.once('error', (error) => (failure = error));
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const logged = (await this.#logged()).slice(before);
      if (failure?.code === 'ENOENT' || /setpriv: failed to execute/.test(logged))
        throw new Error(`${program} is missing: apt-get install ${missing}`, { cause: failure });
      if (failure !== undefined) throw failure;
      if (hasEnded(child) || performance.now() > deadlineMs) {
        const what = hasEnded(child)
          ? `ended with ${child.exitCode ?? child.signalCode}`
          : 'is not ready';
        const lastWords = logged.split('\n').slice(-LAST_WORDS).join('\n');
        throw new Error(`${name} ${what}; its log, ${this.logFile}, ends with\n${lastWords}`);
      }
      if (await isReady(logged)) return;
      await wait(LOOK_EVERY_MS);
    }
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.pid === undefined || hasEnded(child)) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    const patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    await ended;
    clearTimeout(patience);
  }
}

const children = new Set<ChildProcess>();

function endWithThisProcess(child: ChildProcess): void {
  if (children.size === 0) process.on('exit', killAll);
  children.add(child);
  child.once('exit', () => {
    children.delete(child);
    if (children.size === 0) process.off('exit', killAll);
  });
}

function killAll(): void {
  for (const child of children) child.kill('SIGKILL');
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** The signal takes effect thread by thread, so what is under way may still be answered meanwhile. */
function pauseProcess(pid: number): void {
  process.kill(pid, 'SIGSTOP');
  const threads = `/proc/${pid}/task`;
  const isStopped = (thread: string): boolean =>
    / T \d/.test(readFileSync(`${threads}/${thread}/stat`, 'utf8').replace(/^.*\)/, ''));
  while (!readdirSync(threads).every(isStopped));
}
