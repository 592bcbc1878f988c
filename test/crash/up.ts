import assert from 'node:assert/strict';
import { askControlSocket } from '../../src/app/operations/control-socket.ts';
import type { StatusReport } from '../../src/app/operations/operations.ts';
import { MillraceError } from '../../src/domain/errors.ts';
import { parseLsn, type Lsn } from '../../src/domain/lsn.ts';
import { must } from '../../src/lib/must.ts';
import { MillraceProcess } from './millrace-process.ts';
import type { Kill, Victim } from './plan.ts';
import type { Subject } from './subject.ts';
import { isExpected } from './workload.ts';
import { SLOT, type Workplace } from './workplace.ts';

/** For what takes a second or two where nothing else runs. */
const PATIENCE_MS = 90_000;
const NEVER = new AbortController().signal;

/** `millrace up`, with the embedded server or with one of the user's own, told by `env`. */
export class Up implements Subject {
  readonly #place: Workplace;
  readonly #env: Readonly<Record<string, string>>;
  #process: MillraceProcess | undefined;

  constructor(place: Workplace, env: Readonly<Record<string, string>> = {}) {
    this.#place = place;
    this.#env = env;
  }

  async start(): Promise<void> {
    this.#process = this.#run('up');
  }

  async until(since: Kill['since']): Promise<void> {
    if (since === 'start') return;
    const states = since === 'copy' ? ['copying', 'streaming'] : ['streaming'];
    await this.#until(`it was seen ${states.join(' or ')}`, ({ connector }) =>
      states.includes(connector?.state ?? ''),
    );
    // That may have been said before it noticed that the server was killed.
    if (since === 'stream')
      await this.#process?.until('its slot was read', PATIENCE_MS, () => this.#slotIsRead());
  }

  async kill(victim: Victim): Promise<void> {
    const { server } = this.#place;
    await Promise.all([
      victim === 'millrace' || victim === 'both' ? this.#process?.kill() : undefined,
      victim === 'millrace' ? undefined : server.kill({ children: victim !== 'postmaster' }),
    ]);
  }

  /** PostgreSQL is started again by `up` itself. */
  async startAgain(victim: Victim): Promise<void> {
    if (victim === 'millrace' || victim === 'both') await this.start();
  }

  async reconcile(): Promise<void> {
    await this.#run('reconcile').succeeds(PATIENCE_MS);
  }

  async settle(): Promise<void> {
    await this.stop();
    this.#process = this.#run('up', '--no-generator');
    await this.#until('it was up', () => true);
    const end = await this.#walEnd();
    await this.#until(
      `all up to ${end} was captured`,
      ({ connector }) =>
        connector?.state === 'streaming' &&
        connector.confirmedLsn !== undefined &&
        parseLsn(connector.confirmedLsn) >= end,
    );
    await this.#until('all was processed', isProcessed);
    await this.reconcile();
    // What a stage handed on may have been on its way to the log.
    await this.#until('all was processed', isProcessed);
    await this.#fillLake();
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.kill();
  }

  #run(...given: string[]): MillraceProcess {
    const { dataDir, pipelineDir, printed, folder } = this.#place;
    return MillraceProcess.start({
      arguments: [...given, '--data-dir', dataDir, '--pipeline', pipelineDir],
      env: {
        MOCK_DATA_INTERVAL_SECONDS: '0.1',
        MOCK_DATA_RECORDS_PER_BATCH: '20',
        MILLRACE_STREAM_THREADS: '2',
        // Often enough that kills meet it.
        MILLRACE_LAKE_FLUSH_SECONDS: '1',
        BATCH_INTERVAL_SECONDS: '5',
        ...this.#env,
      },
      logFile: printed,
      cwd: folder,
    });
  }

  /** Has all that is in the log written into the lake. */
  async #fillLake(): Promise<void> {
    const answers = askControlSocket(this.#place.dataDir, 'lake.flush', {}, NEVER);
    for await (const answer of answers) assert.deepEqual(answer, { flushed: true });
  }

  async #slotIsRead(): Promise<boolean> {
    try {
      const sql = 'select from pg_replication_slots where slot_name = $1 and active';
      return (await this.#place.server.query(sql, [SLOT])).length > 0;
    } catch (error) {
      if (isExpected(error)) return false;
      throw error;
    }
  }

  /** Of what is committed: a commit has flushed the WAL before it. */
  async #walEnd(): Promise<Lsn> {
    const { server } = this.#place;
    await server.query('insert into crash_rows (n) values (-1)');
    const [row] = await server.query('select pg_current_wal_flush_lsn() as end');
    return parseLsn(must(row?.['end'], 'the server says where its WAL ends'));
  }

  async #until(what: string, fits: (status: StatusReport) => boolean): Promise<void> {
    const running = must(this.#process, 'it was started');
    let last: StatusReport | undefined;
    try {
      await running.until(what, PATIENCE_MS, async () => {
        last = await this.#status();
        for (const failure of last?.failures ?? [])
          throw new Error(`${failure.part} has failed for good: ${failure.message}`);
        return last !== undefined && fits(last);
      });
    } catch (error) {
      const { connector, processors } = last ?? {};
      const seen = JSON.stringify({ connector, processors });
      throw new Error(`last status: ${seen}`, { cause: error });
    }
  }

  /** Undefined while nobody answers. */
  async #status(): Promise<StatusReport | undefined> {
    try {
      for await (const status of askControlSocket(this.#place.dataDir, 'status', {}, NEVER))
        return status as StatusReport;
    } catch (error) {
      if (!(error instanceof MillraceError && error.code === 'not_running')) throw error;
    }
    return undefined;
  }
}

/**
 * Whether processors run, and none has anything left to do: told offsets may be old, so what counts
 * are the ends of the topics as they are now.
 */
export function isProcessed({ processors, topics }: StatusReport): boolean {
  const ends = new Map(
    topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, end }) => [`${topic}-${partition}`, end] as const),
    ),
  );
  return (
    processors.length > 0 &&
    processors.every(
      ({ state, tasks, parked }) =>
        state === 'running' &&
        parked === 0 &&
        tasks.length > 0 &&
        tasks.every(({ partitions }) =>
          partitions.every(
            ({ topic, partition, offset }) => offset === ends.get(`${topic}-${partition}`),
          ),
        ),
    )
  );
}
