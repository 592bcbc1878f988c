import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FileLock } from './file-lock.ts';

/** A folder this young may be one whose owner has yet to lock it. */
const YOUNG_MS = 60_000;

/**
 * A folder of one owner's own for what it needs while it works. Those of owners that died are removed
 * when the next of the prefix is made.
 */
export class ScratchFolder implements AsyncDisposable {
  readonly dir: string;
  readonly #lock: FileLock | undefined;

  private constructor(dir: string, lock: FileLock | undefined) {
    this.dir = dir;
    this.#lock = lock;
  }

  static async create(parent: string, prefix: string): Promise<ScratchFolder> {
    await mkdir(parent, { recursive: true });
    await removeOrphans(parent, prefix);
    const dir = await mkdtemp(join(parent, prefix));
    return new ScratchFolder(dir, FileLock.tryTake(lockOf(dir)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lock?.[Symbol.dispose]();
    await rm(this.dir, { recursive: true, force: true });
  }
}

async function removeOrphans(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const dir = join(parent, name);
    if (!name.startsWith(prefix) || (await isYoung(dir))) continue;
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
