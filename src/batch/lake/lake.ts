import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { FileLock } from '../../lib/file-lock.ts';
import { flushFolder } from '../../lib/flush-file.ts';
import { EMPTY_MANIFEST, LAKE_FORMAT, type Manifest } from './manifest.ts';

const MANIFESTS = 'manifests';
const LOCKS = 'locks';
/** Older manifests that are kept, for readers and for whoever looks what happened. */
const KEPT_MANIFESTS = 100;

/**
 * A folder of Parquet files and of manifests that say which of them count.
 *
 * A commit is the creation of the next manifest's file, which the file system grants to one:
 * readers see the lake before it or after it. Whoever writes files flushes them first (`flushFile`),
 * then commits. Files that no kept manifest names are rubbish of those who died.
 */
export class Lake {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Creates what is missing. Throws `lake_unusable`; `lake_newer` comes with the first manifest that is read. */
  static async open(dir: string): Promise<Lake> {
    try {
      for (const each of [MANIFESTS, LOCKS]) await mkdir(join(dir, each), { recursive: true });
    } catch (error) {
      throw failure(error, dir);
    }
    return new Lake(dir);
  }

  /** The newest; of an empty lake, one that names nothing. Throws `lake_newer` and `lake_damaged`. */
  async manifest(): Promise<Manifest> {
    // Between listing and reading, later commits may remove what was the newest.
    for (;;) {
      const newest = (await this.#versions()).at(-1);
      if (newest === undefined) return EMPTY_MANIFEST;
      const manifest = await this.#read(newest);
      if (manifest !== undefined) return manifest;
    }
  }

  /**
   * Makes the next manifest of the newest one. `change` is asked again when another commit came
   * first: what it relies on, it checks in what it is given, and throws. Given back unchanged,
   * nothing is written. Throws `disk_full` and `lake_unusable`; nothing is committed then.
   */
  async commit(change: (manifest: Manifest) => Manifest): Promise<Manifest> {
    for (;;) {
      const before = await this.manifest();
      const changed = change(before);
      if (changed === before) return before;
      const next = { ...changed, version: before.version + 1, writtenAtMs: Date.now() };
      if (!(await this.#create(next))) continue;
      await this.#dropOld(next.version);
      return next;
    }
  }

  /** Absolute. */
  path(relative: string): string {
    return join(this.dir, ...relative.split('/'));
  }

  /**
   * Held by one at a time, over all processes of this machine, until it is disposed of or its
   * process ends. Throws `lake_busy` at once, which names what is under way.
   */
  lock(what: 'writer' | 'models' | 'compaction'): Disposable {
    try {
      const lock = FileLock.tryTake(join(this.dir, LOCKS, `${what}.lock`));
      if (lock !== undefined) return lock;
    } catch (error) {
      throw failure(error, this.dir);
    }
    throw new MillraceError('lake_busy', { lake: this.dir, holds: what });
  }

  async #versions(): Promise<number[]> {
    const names = await readdir(join(this.dir, MANIFESTS)).catch((error: unknown) => {
      throw failure(error, this.dir);
    });
    return names
      .flatMap((name) => /^(\d+)\.json$/.exec(name)?.[1] ?? [])
      .map(Number)
      .toSorted((a, b) => a - b);
  }

  #file(version: number): string {
    return join(this.dir, MANIFESTS, `${String(version).padStart(12, '0')}.json`);
  }

  /** Undefined when it is no longer there. */
  async #read(version: number): Promise<Manifest | undefined> {
    const file = this.#file(version);
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw failure(error, this.dir);
    });
    if (text === undefined) return undefined;
    const parsed = parse(text, file);
    if (typeof parsed.format === 'number' && parsed.format > LAKE_FORMAT)
      throw new MillraceError('lake_newer', { file, found: parsed.format, expected: LAKE_FORMAT });
    if (parsed.format !== LAKE_FORMAT || parsed.version !== version)
      throw new MillraceError('lake_damaged', { file, found: text.slice(0, 80) });
    return parsed as Manifest;
  }

  /** False when another had this version first. */
  async #create(manifest: Manifest): Promise<boolean> {
    const file = this.#file(manifest.version);
    const draft = `${file}.${randomUUID()}`;
    try {
      const handle = await open(draft, 'wx', 0o644);
      try {
        await handle.writeFile(JSON.stringify(manifest));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await link(draft, file);
      if (await this.#isLate(manifest.version)) {
        await rm(file);
        return false;
      }
      await flushFolder(dirname(file));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw failure(error, this.dir);
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** Others have made so many versions meanwhile that this one was free again: nobody would read it. */
  async #isLate(version: number): Promise<boolean> {
    const versions = await this.#versions();
    return version > 1 ? !versions.includes(version - 1) : versions.length > KEPT_MANIFESTS;
  }

  async #dropOld(newest: number): Promise<void> {
    const old = (await this.#versions()).filter((version) => version <= newest - KEPT_MANIFESTS);
    for (const version of old) await rm(this.#file(version), { force: true });
  }
}

function parse(text: string, file: string): Partial<Manifest> {
  try {
    return JSON.parse(text) as Partial<Manifest>;
  } catch (error) {
    throw new MillraceError('lake_damaged', { file, found: text.slice(0, 80) }, error);
  }
}

function failure(error: unknown, lake: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new MillraceError('disk_full', { dir: lake }, error);
  return new MillraceError('lake_unusable', { lake, found: code ?? String(error) }, error);
}
