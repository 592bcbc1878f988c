import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';

/** Of `postgres.json`; a file of another format is refused. */
const FORMAT = 1;
/** Where the server's files lie when its account cannot reach the data directory. */
export const ELSEWHERE = '/var/lib/millrace';
const HOME_ELSEWHERE = /^\/var\/lib\/millrace\/[0-9a-f]{16}$/;

/** What `postgres.json` holds: all that a later start must know. Only its owner may read it. */
export type ClusterFile = Readonly<{
  user: string;
  password: string;
  port?: number;
  /** Set when the server's files lie outside of the data directory. */
  home?: string;
}>;

/** Undefined before the first start. */
export async function readClusterFile(dataDir: string): Promise<ClusterFile | undefined> {
  const text = await namingFailures(dataDir, () =>
    readFile(clusterFilePath(dataDir), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    }),
  );
  return text === undefined ? undefined : parseClusterFile(dataDir, text);
}

/** Written whole under another name first: a crash leaves the old file or the new one. */
export async function writeClusterFile(dataDir: string, file: ClusterFile): Promise<void> {
  await namingFailures(dataDir, async () => {
    const next = `${clusterFilePath(dataDir)}.next`;
    await writeFile(next, `${JSON.stringify({ format: FORMAT, ...file }, null, 2)}\n`, {
      mode: 0o600,
      flush: true,
    });
    await rename(next, clusterFilePath(dataDir));
  });
}

export function unusable(path: string, found: string): MillraceError {
  return new MillraceError('data_dir_unusable', { path, found });
}

/** Runs `work`, which uses files in `dir`, and names what an operator can mend. */
export async function namingFailures<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const found = (error as NodeJS.ErrnoException).code;
    if (found === undefined) throw error;
    if (found === 'ENOSPC') throw new MillraceError('disk_full', { dir }, error);
    throw new MillraceError('data_dir_unusable', { dir, found }, error);
  }
}

function clusterFilePath(dataDir: string): string {
  return join(dataDir, 'postgres.json');
}

function parseClusterFile(dataDir: string, text: string): ClusterFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // What the parser says quotes the text, and with it perhaps the password.
    throw unusable(clusterFilePath(dataDir), 'not JSON');
  }
  const file = value as Partial<Record<'format' | keyof ClusterFile, unknown>> | null;
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
  // `reset` removes this folder as root, so the file is believed only about folders of our own.
  if (home !== undefined && !(typeof home === 'string' && HOME_ELSEWHERE.test(home))) {
    throw unusable(clusterFilePath(dataDir), `home ${JSON.stringify(home)}`);
  }
  return {
    user,
    password,
    ...(typeof port === 'number' ? { port } : {}),
    ...(home === undefined ? {} : { home }),
  };
}
