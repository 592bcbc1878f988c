import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { MillraceError } from '../../domain/errors.ts';
import { FileLock } from '../../lib/file-lock.ts';

/** Of the folder's layout and of the files in it; another one is refused, never guessed at. */
const FORMAT = 3;
/** Marks a folder as a data directory, whichever version made it. */
export const FORMAT_FILE = 'format';
/** How long a command that only looks may keep others waiting. */
const LOCK_WAIT_MS = 3000;
/** What runs until it is told to stop is not waited for; long enough for one that was just killed. */
const LONG_RUNNING = ['up', 'capture'];
const LONG_RUNNING_WAIT_MS = 250;
/** Root's PostgreSQL runs as another user, which has to pass through; nobody may list the folder. */
const FOLDER_MODE = process.getuid?.() === 0 ? 0o711 : 0o700;
const OWN_MODE = 0o700;

/** Who holds a data directory, as told to the one who is refused. */
export type Holder = Readonly<{ pid: number; what: string }>;

/**
 * The folder that holds all of one Millrace: log, store, lake, embedded PostgreSQL, logs. Other users
 * read nothing of it.
 *
 * One process holds it at a time. The lock is the kernel's, so it ends with the process, however
 * that ends; the threads of the process share it. See docs/decisions/0002-data-directory-lock.md.
 */
export class DataDirectory implements Disposable {
  readonly dir: string;
  readonly #lock: FileLock;

  private constructor(dir: string, lock: FileLock) {
    this.dir = dir;
    this.#lock = lock;
  }

  /**
   * Creates what is missing and takes the lock. Throws `data_dir_unusable`, `data_dir_version`, or,
   * when another process keeps the lock, `data_dir_locked`, which names that process.
   */
  static async open(dir: string, what: string, waitMs?: number): Promise<DataDirectory> {
    prepareDataDirectory(dir);
    return this.#take(dir, what, waitMs);
  }

  /** To remove it, whichever version wrote it; undefined when there is none. */
  static async openToRemove(dir: string): Promise<DataDirectory | undefined> {
    if (!existsSync(dir)) return undefined;
    refuseForeignFolder(dir, false);
    return this.#take(dir, 'reset', 0);
  }

  static async #take(dir: string, what: string, waitMs?: number): Promise<DataDirectory> {
    const lock = await takeLock(dir, waitMs);
    const holder = JSON.stringify({ pid: process.pid, what } satisfies Holder);
    writeFileSync(holderFile(dir), holder, { mode: 0o600 });
    return new DataDirectory(dir, lock);
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}

/** Where things lie in a data directory; known without holding it. */
export function placesIn(
  dir: string,
): Readonly<Record<'log' | 'store' | 'lake' | 'postgres' | 'logs', string>> {
  return {
    log: join(dir, 'log'),
    store: join(dir, 'store'),
    lake: join(dir, 'lake'),
    postgres: join(dir, 'postgres'),
    logs: join(dir, 'logs'),
  };
}

export function logFileIn(dir: string): string {
  return join(placesIn(dir).logs, 'millrace.log');
}

/** Who took the lock last; that process may be gone. */
export function lastHolder(dir: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(holderFile(dir), 'utf8')) as Holder;
  } catch {
    // Absent, or half written by a process that died: then nobody can be named.
    return undefined;
  }
}

/** Creates what is missing and checks what is there, without the lock. */
export function prepareDataDirectory(dir: string): void {
  try {
    const isNew = makeFolder(dir, FOLDER_MODE);
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
    refuseForeignFolder(dir, isNew);
    checkFormat(dir);
    chmodSync(dir, FOLDER_MODE);
    const { log, store, lake, logs } = placesIn(dir);
    for (const each of [log, store, lake, logs]) makeFolder(each, OWN_MODE);
  } catch (error) {
    if (error instanceof MillraceError) throw error;
    const found = (error as NodeJS.ErrnoException).code ?? String(error);
    if (found === 'ENOSPC') throw new MillraceError('disk_full', { dir }, error);
    throw new MillraceError('data_dir_unusable', { dir, found }, error);
  }
}

/**
 * True when it was not there. Not by `recursive`: where a parent takes no folders, as in /proc,
 * Node 24 never returns from that.
 */
function makeFolder(dir: string, mode: number): boolean {
  if (existsSync(dir)) return false;
  const parent = dirname(dir);
  if (parent !== dir) makeFolder(parent, mode);
  mkdirSync(dir, { mode });
  return true;
}

/** A mistyped --data-dir must not spread files over somebody's home directory, nor `reset` empty it. */
function refuseForeignFolder(dir: string, isNew: boolean): void {
  if (isNew) return;
  const names = readdirSync(dir);
  if (names.length === 0 || names.includes(FORMAT_FILE)) return;
  throw new MillraceError('data_dir_unusable', { dir, found: 'a folder with other things in it' });
}

function checkFormat(dir: string): void {
  const file = join(dir, FORMAT_FILE);
  try {
    writeFileSync(file, `${FORMAT}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const found = readFileSync(file, 'utf8').trim();
    if (found !== String(FORMAT))
      throw new MillraceError('data_dir_version', { dir, found, expected: FORMAT });
  }
}

async function takeLock(dir: string, waitMs: number | undefined): Promise<FileLock> {
  const startedMs = Date.now();
  for (;;) {
    const lock = tryLock(dir);
    if (lock !== undefined) return lock;
    const { pid, what } = lastHolder(dir) ?? { pid: 'unknown', what: 'unknown' };
    const usualMs = LONG_RUNNING.includes(what) ? LONG_RUNNING_WAIT_MS : LOCK_WAIT_MS;
    if (Date.now() - startedMs >= (waitMs ?? usualMs)) {
      throw new MillraceError('data_dir_locked', { dir, pid, holder: what });
    }
    await wait(25);
  }
}

function tryLock(dir: string): FileLock | undefined {
  try {
    return FileLock.tryTake(join(dir, 'lock.db'));
  } catch (error) {
    throw new MillraceError('data_dir_unusable', { dir, found: String(error) }, error);
  }
}

function holderFile(dir: string): string {
  return join(dir, 'holder.json');
}
