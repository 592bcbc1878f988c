import { execFile, type ExecFileException } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { callOperation } from '../../../src/app/operations/call.ts';
import type {
  ArgumentsOf,
  OperationName,
  StatusReport,
  ValueOf,
} from '../../../src/app/operations/operations.ts';
import { openLog } from '../../../src/app/compose.ts';
import { readConfig } from '../../../src/app/config/config.ts';
import { Bell } from '../../../src/lib/bell.ts';
import type { EventLog } from '../../../src/ports/event-log.ts';
import { must } from '../../../src/lib/must.ts';
import { MAIN } from '../../crash/millrace-process.ts';
import { isProcessed } from '../../crash/up.ts';
import { temporaryFolder } from '../../postgres.ts';
import { ServerProcess, type ServerControls } from '../servers/server-process.ts';
import { servedIn } from './served-keys.ts';
import type { ShopSource } from './shop-source.ts';

const ROOT = join(import.meta.dirname, '../../..');
const SHOP = join(ROOT, 'pipelines/shop');
const SHOP_OF_FOUR = join(ROOT, 'test/pipelines/shop-of-four');
const PATIENCE_MS = 90_000;
const MOST_PRINTED = 64 * 2 ** 20;
/** A look asks each topic for its ends. */
const LOOK_EVERY_MS = 300;
const execute = promisify(execFile);
const NEVER = new AbortController().signal;

export type Environment = Readonly<Record<string, string>>;

export type Ended = Readonly<{
  exitCode: ExecFileException['code'] | string | null;
  out: string;
  err: string;
}>;

export type ShopMillraceOptions = Readonly<{
  /** Of its logs; of its slot, too, where it has four partitions a topic. */
  name: string;
  source: ShopSource;
  /** `one` is pipelines/shop as it is; with `four`, several may follow the source. */
  partitions: 'one' | 'four';
  /** Names the servers of log and store, and how the source is reached. */
  env: Environment;
}>;

/** One Millrace that runs the shop, in one process or in one a role; all end with the tests. */
export class ShopMillrace implements AsyncDisposable {
  readonly slot: string;
  readonly env: Environment;
  readonly #name: string;
  readonly #pipelineDir: string;
  readonly #folder: string;
  readonly #processes: ServerControls[] = [];

  private constructor({ name, source, partitions, env }: ShopMillraceOptions, folder: string) {
    this.slot = partitions === 'one' ? 'millrace_shop' : name.replaceAll('-', '_');
    const batch = {
      MILLRACE_LAKE: join(folder, 'lake'),
      MILLRACE_LAKE_FLUSH_SECONDS: '1',
      // Models run when a test says so.
      BATCH_INTERVAL_SECONDS: '0',
    };
    this.env = { ...withoutOwn(), ...source.env(), SHOP_SLOT: this.slot, ...batch, ...env };
    this.#name = name;
    this.#pipelineDir = partitions === 'one' ? SHOP : SHOP_OF_FOUR;
    this.#folder = folder;
  }

  static async make(options: ShopMillraceOptions): Promise<ShopMillrace> {
    return new ShopMillrace(options, await temporaryFolder('millrace-shop-'));
  }

  /** Everything in one process; returns once it streams. */
  up(): Promise<ServerControls> {
    return this.#start('up', ['up', '--no-generator'], {}, (logged) => /streaming \|/.test(logged));
  }

  /** The role in a process of its own, numbered where there are several; `env` over that of all. */
  capture(number: number, env: Environment = {}): Promise<ServerControls> {
    return this.#start(`capture-${number}`, ['run', 'capture'], env);
  }

  stream(number: number, env: Environment = {}): Promise<ServerControls> {
    return this.#start(`stream-${number}`, ['run', 'stream'], env);
  }

  batch(): Promise<ServerControls> {
    return this.#start('batch', ['run', 'batch']);
  }

  /** Asked in the process of the tests, which is quicker than by the command line. */
  ask<Name extends OperationName>(name: Name, args: ArgumentsOf<Name>): Promise<ValueOf<Name>[]> {
    const { env } = this;
    const elsewhere = { env, pipelineDir: () => this.#pipelineDir };
    const place = { dataDir: this.#dataDir, elsewhere };
    return Array.fromAsync(callOperation(place, name, args, NEVER));
  }

  async status(): Promise<StatusReport> {
    return must((await this.ask('status', {}))[0], 'status answers once');
  }

  /** Looks until the status is so; throws when a process has ended by itself meanwhile. */
  async until(what: string, isSo: (status: StatusReport) => boolean): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const status = await this.status();
      if (isSo(status)) return;
      const ended = this.#processes.find((process) => process.hasEndedByItself());
      if (ended !== undefined)
        throw new Error(`a process has ended by itself before ${what}; see ${ended.logFile}`);
      if (performance.now() > deadlineMs) {
        const { connector, processors, workers } = status;
        const seen = JSON.stringify({ connector, processors, workers });
        throw new Error(`${this.#name}: not ${what} within ${PATIENCE_MS} ms; last status ${seen}`);
      }
      await wait(LOOK_EVERY_MS);
    }
  }

  /** Until the first copy is over. */
  untilStreaming(): Promise<void> {
    return this.until('streaming', ({ connector }) => connector?.state === 'streaming');
  }

  /** With nobody changing the tables: returns when all is captured and processed, and found equal. */
  async settle(): Promise<void> {
    await this.reconcile();
    await this.until('all was processed', isProcessed);
  }

  /** Throws unless store and source are found equal. */
  async reconcile(): Promise<void> {
    const { exitCode, out, err } = await this.run('reconcile');
    if (exitCode !== 0 || !/ figures compared in .*, 0 differences$/m.test(out))
      throw new Error(`${this.#name}: reconcile ended with ${exitCode}\n${out}${err}`);
  }

  /** Runs the models over all that is captured, and returns the rows that are served of each. */
  async modelRows(): Promise<ReadonlyMap<string, readonly string[]>> {
    const sinceMs = Date.now();
    await this.until('all was in the lake', ({ lake }) => (lake?.flushedAtMs ?? 0) > sinceMs);
    const { exitCode, out, err } = await this.run('model', 'run', '--json');
    if (exitCode !== 0)
      throw new Error(`${this.#name}: models ended with ${exitCode}\n${out}${err}`);
    const entries = await this.ask('store.scan', { pattern: '*:latest' });
    return new Map(
      entries.flatMap((entry) => {
        const value: unknown = entry.type === 'string' ? JSON.parse(entry.value) : undefined;
        const { model, rows } = (value ?? {}) as { model?: string; rows?: readonly unknown[] };
        if (model === undefined || rows === undefined) return [];
        return [[entry.key, rows.map((row) => JSON.stringify(row)).toSorted()] as const];
      }),
    );
  }

  /** A command as a user gives it, to its end. */
  async run(...args: readonly string[]): Promise<Ended> {
    const options = {
      cwd: this.#folder,
      env: { ...process.env, ...this.env },
      timeout: PATIENCE_MS,
      maxBuffer: MOST_PRINTED,
    };
    try {
      const command = [MAIN, ...this.#place, ...args];
      const { stdout, stderr } = await execute(process.execPath, command, options);
      return { exitCode: 0, out: stdout, err: stderr };
    } catch (error) {
      const { code, signal, stdout, stderr } = error as ExecFileException;
      if (stdout === undefined || stderr === undefined) throw error;
      return { exitCode: code ?? signal ?? null, out: stdout, err: stderr };
    }
  }

  /** All that its processes have logged, those that have ended included. */
  async logged(): Promise<string> {
    return (await Promise.all(this.#processes.map((process) => process.logged()))).join('');
  }

  /** To read what no command shows. */
  async openLog(): Promise<EventLog> {
    return openLog(readConfig(this.env, { dataDir: this.#dataDir }), Bell.memory());
  }

  /** What is served, key by key, with what two Millraces may differ in left out. */
  served(): Promise<ReadonlyMap<string, string>> {
    return servedIn(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.kill()));
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #dataDir(): string {
    return join(this.#folder, 'data');
  }

  get #place(): string[] {
    return ['--data-dir', this.#dataDir, '--pipeline', this.#pipelineDir];
  }

  async #start(
    name: string,
    args: readonly string[],
    env: Environment = {},
    isReady: (logged: string) => boolean = () => true,
  ): Promise<ServerControls> {
    const { controls } = await ServerProcess.start({
      name: `${this.#name}-${name}`,
      program: process.execPath,
      args: [MAIN, ...this.#place, ...args],
      env: { ...this.env, ...env },
      cwd: this.#folder,
      missing: 'nodejs',
      isReady,
    });
    this.#processes.push(controls);
    return controls;
  }
}

/** Nothing of the tester's own configuration counts: an empty variable is as good as none. */
function withoutOwn(): Environment {
  const own = /^(MILLRACE|POSTGRES|MOCK_DATA|STREAM|LOG|KAFKA|REDIS|BATCH)_/;
  const names = Object.keys(process.env).filter((name) => own.test(name));
  return Object.fromEntries(names.map((name) => [name, '']));
}
