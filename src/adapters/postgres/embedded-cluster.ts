import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { canEnter, serverAccount } from './embedded-account.ts';
import type { Account } from './embedded-account.ts';
import {
  ELSEWHERE,
  namingFailures,
  readClusterFile,
  unusable,
  writeClusterFile,
} from './embedded-cluster-file.ts';
import type { ClusterFile } from './embedded-cluster-file.ts';

/** The files of one server: `data` is PostgreSQL's own folder, in `home`. */
export type Cluster = Readonly<{
  dataDir: string;
  home: string;
  data: string;
  account: Account | undefined;
  file: ClusterFile;
}>;

/**
 * Finds the cluster of a data directory, or decides where a new one will lie and writes that down.
 * Throws `data_dir_unusable` or `data_dir_version`.
 */
export async function openCluster(
  dataDir: string,
  user: string,
  signal: AbortSignal,
): Promise<Cluster> {
  await namingFailures(dataDir, () => mkdir(dataDir, { recursive: true, mode: 0o711 }));
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

/** Removes what `cluster` holds, wherever it lies; its server must have ended. */
export async function removeCluster({ dataDir, file }: Cluster): Promise<void> {
  if (file.home !== undefined) await rm(file.home, { recursive: true, force: true });
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
  const file: ClusterFile = { user, password, ...home };
  await writeClusterFile(dataDir, file);
  return file;
}

async function makeHomeElsewhere(dataDir: string): Promise<string> {
  const home = join(ELSEWHERE, randomBytes(8).toString('hex'));
  await namingFailures(home, async () => {
    await mkdir(home, { recursive: true, mode: 0o755 });
    // Whatever the umask: the server's account has to pass through both.
    for (const folder of [ELSEWHERE, home]) await chmod(folder, 0o755);
    await writeFile(join(home, 'belongs-to'), `${dataDir}\n`);
  });
  return home;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
