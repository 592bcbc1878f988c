import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { runProgram } from '../../lib/run-program.ts';
import { canEnter, giveTo, serverAccount } from './embedded-account.ts';
import type { Account } from './embedded-account.ts';
import { SERVER_ENVIRONMENT } from './embedded-binaries.ts';
import type { Binaries } from './embedded-binaries.ts';

/** Of `postgres.json`; a file of another format is refused. */
const FORMAT = 1;
/** Where the server's files lie when its account cannot reach the data directory. */
const ELSEWHERE = '/var/lib/millrace';

/** What `postgres.json` holds: all that a later start must know. Only its owner may read it. */
type ClusterFile = Readonly<{
  format: typeof FORMAT;
  user: string;
  password: string;
  port?: number;
  /** Set when the server's files lie outside of the data directory. */
  home?: string;
}>;

/** The files of one server: `data` is PostgreSQL's own folder, in `home`. */
export type Cluster = Readonly<{
  dataDir: string;
  home: string;
  data: string;
  account: Account | undefined;
  file: ClusterFile;
}>;

/** Defaults that a user may change in postgresql.conf or by ALTER SYSTEM. */
const CHANGEABLE = [
  'max_connections=50',
  'shared_buffers=128MB',
  'max_slot_wal_keep_size=4GB',
  'timezone=UTC',
  'log_timezone=UTC',
  'log_line_prefix=%m [%p] %q%u@%d ',
  'log_checkpoints=off',
];

/**
 * Finds the cluster of a data directory, or decides where a new one will lie and writes that down.
 * Throws `data_dir_unusable` or `data_dir_version`.
 */
export async function openCluster(
  dataDir: string,
  user: string,
  signal: AbortSignal,
): Promise<Cluster> {
  await inDataDir(dataDir, () => mkdir(dataDir, { recursive: true, mode: 0o711 }));
  const file = (await readClusterFile(dataDir)) ?? (await newClusterFile(dataDir, user, signal));
  const home = file.home ?? dataDir;
  const data = join(home, 'data');
  const cluster = { dataDir, home, data, file, account: await serverAccount(data) };
  if (!(await canEnter(cluster.account, home, signal))) {
    throw new MillraceError('data_dir_unusable', {
      dir: home,
      expected: "a folder that the user of PostgreSQL's processes may enter",
      ...cluster.account,
    });
  }
  return cluster;
}

/** The cluster that a data directory already has. */
export async function findCluster(dataDir: string): Promise<Cluster | undefined> {
  const file = await readClusterFile(dataDir);
  if (file === undefined) return undefined;
  const home = file.home ?? dataDir;
  const data = join(home, 'data');
  return { dataDir, home, data, file, account: undefined };
}

/** Remembers the port, so that an address noted down stays good. */
export async function keepPort(cluster: Cluster, port: number): Promise<void> {
  if (cluster.file.port !== port)
    await writeClusterFile(cluster.dataDir, { ...cluster.file, port });
}

/** Major version of the data, undefined before there is any. */
export async function dataVersion({ data }: Cluster): Promise<number | undefined> {
  const text = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number(text);
}

/** Creates the data in a folder beside its place and moves it there last: a half is never used. */
export async function createData(
  cluster: Cluster,
  binaries: Binaries,
  signal: AbortSignal,
): Promise<void> {
  const { home, account, file } = cluster;
  const work = join(home, 'initdb');
  const passwordFile = join(work, 'password');
  await inDataDir(home, async () => {
    await rm(work, { recursive: true, force: true });
    await mkdir(work, { mode: 0o700 });
    await giveTo(account, work);
    await writeFile(passwordFile, file.password, { mode: 0o600 });
    await giveTo(account, passwordFile);
  });
  const args = [
    `--pgdata=${join(work, 'data')}`,
    `--username=${file.user}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // Names and order by Unicode's code points, the same on every platform.
    '--no-locale',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...CHANGEABLE.map((setting) => `--set=${setting}`),
  ];
  const options = { cwd: work, env: SERVER_ENVIRONMENT, ...account };
  const { code, output } = await runProgram(binaries.initdb, args, options, signal);
  if (code !== 0) {
    if (output.includes('No space left on device')) {
      throw new MillraceError('disk_full', { dir: home, said: lastLine(output) });
    }
    throw new MillraceError('embedded_postgres_failed', {
      program: 'initdb',
      code,
      said: output.trim(),
    });
  }
  await rename(join(work, 'data'), cluster.data);
  await rm(work, { recursive: true, force: true });
}

/** Removes what `cluster` holds, wherever it lies; its server must have ended. */
export async function removeCluster({ dataDir, file }: Cluster): Promise<void> {
  if (file.home !== undefined) {
    // The file says what to remove as root, so it is believed only about folders of our own.
    if (!isElsewhere(file.home)) throw unusable(clusterFilePath(dataDir), `home ${file.home}`);
    await rm(file.home, { recursive: true, force: true });
  }
  await rm(dataDir, { recursive: true, force: true });
}

async function newClusterFile(
  dataDir: string,
  user: string,
  signal: AbortSignal,
): Promise<ClusterFile> {
  const data = join(dataDir, 'data');
  if (await exists(data)) throw unusable(data, 'data, but no postgres.json with its password');
  const account = await serverAccount(data);
  const isReachable = await canEnter(account, dataDir, signal);
  const home = isReachable ? {} : { home: await makeHomeElsewhere(dataDir) };
  const password = randomBytes(24).toString('base64url');
  const file: ClusterFile = { format: FORMAT, user, password, ...home };
  await writeClusterFile(dataDir, file);
  return file;
}

async function makeHomeElsewhere(dataDir: string): Promise<string> {
  const home = join(ELSEWHERE, randomBytes(8).toString('hex'));
  await inDataDir(home, async () => {
    await mkdir(home, { recursive: true, mode: 0o755 });
    // Whatever the umask: the server's account has to pass through both.
    for (const folder of [ELSEWHERE, home]) await chmod(folder, 0o755);
    await writeFile(join(home, 'belongs-to'), `${dataDir}\n`);
  });
  return home;
}

function isElsewhere(home: string): boolean {
  return /^\/var\/lib\/millrace\/[0-9a-f]{16}$/.test(home);
}

function clusterFilePath(dataDir: string): string {
  return join(dataDir, 'postgres.json');
}

async function readClusterFile(dataDir: string): Promise<ClusterFile | undefined> {
  const text = await inDataDir(dataDir, () =>
    readFile(clusterFilePath(dataDir), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    }),
  );
  return text === undefined ? undefined : parseClusterFile(dataDir, text);
}

function parseClusterFile(dataDir: string, text: string): ClusterFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw unusable(clusterFilePath(dataDir), String(error));
  }
  const file = value as Partial<Record<keyof ClusterFile, unknown>> | null;
  if (file?.format !== FORMAT) {
    throw new MillraceError('data_dir_version', {
      file: clusterFilePath(dataDir),
      expected: `format ${FORMAT}`,
      found: `format ${String(file?.format)}`,
    });
  }
  const { user, password, port, home } = file;
  if (typeof user !== 'string' || typeof password !== 'string') {
    throw unusable(clusterFilePath(dataDir), 'no user or no password');
  }
  if (home !== undefined && (typeof home !== 'string' || !isElsewhere(home))) {
    throw unusable(clusterFilePath(dataDir), `home ${JSON.stringify(home)}`);
  }
  return {
    format: FORMAT,
    user,
    password,
    ...(typeof port === 'number' ? { port } : {}),
    ...(home === undefined ? {} : { home }),
  };
}

/** Written whole under another name first: a crash leaves the old file or the new one. */
async function writeClusterFile(dataDir: string, file: ClusterFile): Promise<void> {
  await inDataDir(dataDir, async () => {
    const next = `${clusterFilePath(dataDir)}.next`;
    await writeFile(next, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600, flush: true });
    await rename(next, clusterFilePath(dataDir));
  });
}

function unusable(path: string, found: string): MillraceError {
  return new MillraceError('data_dir_unusable', { path, found });
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function inDataDir<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const found = (error as NodeJS.ErrnoException).code;
    if (found === undefined) throw error;
    if (found === 'ENOSPC') throw new MillraceError('disk_full', { dir }, error);
    throw new MillraceError('data_dir_unusable', { dir, found }, error);
  }
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1) ?? '';
}
