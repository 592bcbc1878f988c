import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { MillraceError } from '../../domain/errors.ts';
import { openConnection } from './connection.ts';
import type { ConnectionFacts } from './connection.ts';
import { giveTo } from './embedded-account.ts';
import { prepareBinaries } from './embedded-binaries.ts';
import {
  dataVersion,
  findCluster,
  keepPort,
  openCluster,
  removeCluster,
} from './embedded-cluster.ts';
import type { Cluster } from './embedded-cluster.ts';
import { createData, removeHalves } from './embedded-initdb.ts';
import { Postmaster, failureToStart } from './embedded-postmaster.ts';
import type { PostmasterOptions } from './embedded-postmaster.ts';
import { endServersOn } from './embedded-processes.ts';

export type EmbeddedOptions = Readonly<{
  /** A folder for nothing else; created when it is missing. */
  dataDir: string;
  /** Appended to, and set aside when it is long. */
  logFile: string;
  /** Created when it is missing. */
  database: string;
  /** The superuser. The first start decides: later ones keep the name that the data has. */
  user: string;
  /** Demanded, 0 any free one; without it, the port of the last start when it is free, else any. */
  port?: number;
  /** Server settings that outrank ours, for tests and benchmarks. */
  settings?: Readonly<Record<string, string>>;
  onProgress?: (step: EmbeddedStep) => void;
}>;

export type EmbeddedStep = 'ending an earlier server' | 'creating the database' | 'starting';

/** The longest path of a socket that every system takes, its last zero included. */
const MAX_SOCKET_PATH = 103;
/** Lets children of a killed postmaster finish, where the system does not say which they are. */
const CHILDREN_PATIENCE_MS = 10_000;
const RETRY_MS = 100;

/**
 * A PostgreSQL server of our own, from the binaries in node_modules, on loopback, with a password
 * that only `postgres.json` in the data directory holds.
 *
 * Data survives a kill -9 of us and of any of its processes; the next start needs no help: it ends
 * what still runs on the data, and PostgreSQL recovers from its WAL. One process at a time may use
 * a data directory; the caller holds the lock.
 */
export class EmbeddedPostgres implements AsyncDisposable {
  readonly connection: ConnectionFacts;
  readonly pid: number;
  /**
   * Settles when the server has ended: with undefined after `stop`, else with the failure. It never
   * rejects, so nobody has to listen.
   */
  readonly ended: Promise<MillraceError | undefined>;
  readonly #postmaster: Postmaster;
  #isAsked = false;

  private constructor(connection: ConnectionFacts, postmaster: Postmaster) {
    this.connection = connection;
    this.pid = postmaster.pid;
    this.#postmaster = postmaster;
    this.ended = postmaster.ended.then((end) =>
      this.#isAsked ? undefined : failureToStart(end, connection.port),
    );
  }

  /**
   * Returns when the server takes logins and the database exists. Throws `data_dir_unusable`,
   * `data_dir_version`, `disk_full`, `port_in_use`, `embedded_postgres_missing` or
   * `embedded_postgres_failed`; after an abort, the signal's reason.
   */
  static async start(options: EmbeddedOptions, signal: AbortSignal): Promise<EmbeddedPostgres> {
    const cluster = await openCluster(resolve(options.dataDir), options.user, signal);
    const binaries = await prepareBinaries(cluster.home, cluster.account, signal);
    const found = await dataVersion(cluster);
    if (found !== undefined && found !== binaries.major) {
      throw new MillraceError('data_dir_version', {
        dir: cluster.data,
        found: `data of PostgreSQL ${found}`,
        expected: `PostgreSQL ${binaries.major}`,
      });
    }
    await removeHalves(cluster.home);
    if (found === undefined) {
      options.onProgress?.('creating the database');
      await createData(cluster, binaries, signal);
    } else {
      await endServersOn(cluster.data, () => options.onProgress?.('ending an earlier server'));
    }
    options.onProgress?.('starting');
    const { postmaster, port } = await startOnPort(options, cluster, binaries.postgres, signal);
    try {
      await keepPort(cluster, port);
      const { user, password } = cluster.file;
      const facts = { host: '127.0.0.1', port, database: options.database, user, password };
      await ensureDatabase(facts);
      return new EmbeddedPostgres(facts, postmaster);
    } catch (error) {
      await postmaster.stop();
      throw error;
    }
  }

  /** Removes all data of a data directory, wherever it lies, and ends a server left on it first. */
  static async removeData(dataDir: string): Promise<void> {
    const cluster = await findCluster(resolve(dataDir));
    if (cluster === undefined) return;
    await endServersOn(cluster.data);
    await removeCluster(cluster);
  }

  /**
   * Ends sessions and the server. Those who follow the WAL should have ended before: the server
   * waits for them, and after 5 s ends without writing all, so that the next start has to recover.
   */
  async stop(): Promise<void> {
    this.#isAsked = true;
    await this.#postmaster.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The port that is demanded, else the last one, else any: another program may take one at any time. */
async function startOnPort(
  { port: demanded, logFile, settings = {} }: EmbeddedOptions,
  cluster: Cluster,
  postgres: string,
  signal: AbortSignal,
): Promise<{ postmaster: Postmaster; port: number }> {
  const { account, data } = cluster;
  const socketFolder = await makeSocketFolder(cluster);
  const first = demanded ?? cluster.file.port ?? 0;
  const candidates = first === demanded && first !== 0 ? [first] : [first, 0, 0];
  for (const [at, candidate] of candidates.entries()) {
    const port = await freePort(candidate);
    const isLast = at === candidates.length - 1;
    if (port === undefined) {
      if (isLast) throw new MillraceError('port_in_use', { port: candidate });
      continue;
    }
    try {
      const options = { postgres, data, port, account, logFile, settings, ...socketFolder };
      return { postmaster: await startPatiently(options, signal), port };
    } catch (error) {
      if (isLast || !(error instanceof MillraceError) || error.code !== 'port_in_use') throw error;
    }
  }
  throw new Error('bug: no port was tried');
}

/** The server refuses to start while a child of a killed postmaster is still attached to its memory. */
async function startPatiently(
  options: PostmasterOptions,
  signal: AbortSignal,
): Promise<Postmaster> {
  const deadlineMs = performance.now() + CHILDREN_PATIENCE_MS;
  for (;;) {
    try {
      return await Postmaster.start(options, signal);
    } catch (error) {
      const isAttached =
        error instanceof MillraceError && error.message.includes('is still in use');
      if (!isAttached || performance.now() > deadlineMs) throw error;
      await wait(RETRY_MS);
    }
  }
}

/** Made anew: a socket that a killed server has left names a process that may be another's by now. */
async function makeSocketFolder({ home, account }: Cluster): Promise<{ socketFolder?: string }> {
  const socketFolder = join(home, 'socket');
  await rm(socketFolder, { recursive: true, force: true });
  if (Buffer.byteLength(join(socketFolder, '.s.PGSQL.65535')) >= MAX_SOCKET_PATH) return {};
  await mkdir(socketFolder, { mode: 0o700 });
  await giveTo(account, socketFolder);
  return { socketFolder };
}

/** 0 asks for any; undefined when the one asked for is taken. */
function freePort(candidate: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(candidate, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

async function ensureDatabase(facts: ConnectionFacts): Promise<void> {
  const client = await openConnection({ ...facts, database: 'postgres' });
  try {
    const { rows } = await client.query('SELECT FROM pg_database WHERE datname = $1', [
      facts.database,
    ]);
    if (rows.length === 0) {
      await client.query(`CREATE DATABASE ${pg.escapeIdentifier(facts.database)}`);
    }
  } finally {
    await client.end();
  }
}
