import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FileLock } from '../../lib/file-lock.ts';

const PREFIX = 'duckdb-';
/** A folder this young may be one whose owner has yet to lock it. */
const YOUNG_MS = 60_000;

/** A folder of one engine's own for what it spills; those of engines that died are removed when the next is made. */
export class SpillFolder implements AsyncDisposable {
  readonly dir: string;
  readonly #lock: FileLock | undefined;

  private constructor(dir: string, lock: FileLock | undefined) {
    this.dir = dir;
    this.#lock = lock;
  }

  static async create(parent: string): Promise<SpillFolder> {
    await mkdir(parent, { recursive: true });
    await removeOrphans(parent);
    const dir = await mkdtemp(join(parent, PREFIX));
    return new SpillFolder(dir, FileLock.tryTake(lockOf(dir)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lock?.[Symbol.dispose]();
    await rm(this.dir, { recursive: true, force: true });
  }
}

async function removeOrphans(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const dir = join(parent, name);
    if (!name.startsWith(PREFIX) || (await isYoung(dir))) continue;
    const lock = lockIfThere(dir);
    if (lock === undefined) continue;
    await rm(dir, { recursive: true, force: true });
    lock[Symbol.dispose]();
  }
}

/** So is one that just went away. */
async function isYoung(dir: string): Promise<boolean> {
  const found = await stat(dir).catch(() => undefined);
  return found === undefined || Date.now() - found.birthtimeMs < YOUNG_MS;
}

function lockIfThere(dir: string): FileLock | undefined {
  try {
    return FileLock.tryTake(lockOf(dir));
  } catch {
    // Removed by another in this moment, or another user's: not ours to remove.
    return undefined;
  }
}

function lockOf(dir: string): string {
  return join(dir, 'lock');
}
