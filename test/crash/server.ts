import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ConnectionFacts } from '../../src/adapters/postgres/connection.ts';
import { PostgresClient } from '../../src/adapters/postgres/client.ts';
import { findCluster } from '../../src/adapters/postgres/embedded-cluster.ts';
import { findServer } from '../../src/adapters/postgres/embedded-processes.ts';
import { EmbeddedPostgres } from '../../src/adapters/postgres/embedded.ts';
import { must } from '../../src/lib/must.ts';

const run = promisify(execFile);
const NEVER = new AbortController().signal;
const DATABASE = 'source_db';

/**
 * The PostgreSQL of a round, in `dataDir`: started by the test itself, or by the `millrace up` whose
 * data directory holds it. Its address and processes are found by its files, whoever started it.
 */
export class CrashServer {
  readonly #dataDir: string;
  readonly #logFile: string;
  #own: EmbeddedPostgres | undefined;

  constructor(dataDir: string, logFile: string) {
    this.#dataDir = dataDir;
    this.#logFile = logFile;
  }

  /** By the test itself, at the port that it had before. */
  async start(): Promise<void> {
    const { port } = (await findCluster(this.#dataDir))?.file ?? {};
    this.#own = await EmbeddedPostgres.start(
      {
        dataDir: this.#dataDir,
        logFile: this.#logFile,
        database: DATABASE,
        user: 'postgres',
        port: port ?? 0,
      },
      NEVER,
    );
  }

  async stop(): Promise<void> {
    await this.#own?.stop();
    this.#own = undefined;
  }

  async remove(): Promise<void> {
    await this.stop();
    await EmbeddedPostgres.removeData(this.#dataDir);
  }

  readonly facts = async (): Promise<ConnectionFacts> => {
    const { file } = must(await findCluster(this.#dataDir), 'the server was started before');
    const { user, password, port = 0 } = file;
    return { host: '127.0.0.1', port, database: DATABASE, user, password };
  };

  async query(
    sql: string,
    parameters?: readonly unknown[],
  ): Promise<Awaited<ReturnType<PostgresClient['query']>>> {
    await using client = await PostgresClient.connect(await this.facts());
    return await client.query(sql, parameters);
  }

  /** Ends the postmaster with -9, and with `children` all its processes; none when it does not run. */
  async kill({ children }: { children: boolean }): Promise<void> {
    const { data } = must(await findCluster(this.#dataDir), 'the server was started before');
    const found = await findServer(data);
    const all = await processes();
    // The file may be stale, and its number another program's by now.
    const postmaster = all.find(
      ({ pid, command }) => pid === found?.pid && command.includes(` -D ${data} `),
    );
    if (postmaster === undefined) return;
    const victims = [
      postmaster,
      ...all.filter(({ parent }) => children && parent === postmaster.pid),
    ];
    for (const { pid } of victims) sendKill(pid);
    await this.#own?.ended;
    this.#own = undefined;
  }
}

async function processes(): Promise<{ pid: number; parent: number; command: string }[]> {
  const { stdout } = await run('ps', ['-A', '-ww', '-o', 'pid=,ppid=,command=']);
  return stdout.split('\n').map((line) => {
    const [, pid, parent, command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return { pid: Number(pid), parent: Number(parent), command };
  });
}

export function sendKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
