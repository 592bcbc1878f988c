import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { checkTargetFile } from '../app/target-file.ts';
import { MillraceError } from '../domain/errors.ts';

/** A text file that is there whole, or as it was before: its lines stand elsewhere until `finish`. */
export class LineFile implements AsyncDisposable {
  readonly #file: string;
  readonly #draft: string;
  readonly #handle: FileHandle;

  private constructor(file: string, draft: string, handle: FileHandle) {
    this.#file = file;
    this.#draft = draft;
    this.#handle = handle;
  }

  /** Throws `usage` when it can't be written there. */
  static async create(file: string): Promise<LineFile> {
    await checkTargetFile(file);
    const draft = `${file}.${randomUUID()}`;
    return new LineFile(file, draft, await open(draft, 'wx'));
  }

  /** Throws `disk_full`. */
  async print(lines: string): Promise<void> {
    await this.#handle.writeFile(`${lines}\n`).catch((error: unknown) => this.#fail(error));
  }

  /** Throws `disk_full`. */
  async finish(): Promise<void> {
    await this.#handle.sync().catch((error: unknown) => this.#fail(error));
    await rename(this.#draft, this.#file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
    await rm(this.#draft, { force: true });
  }

  #fail(error: unknown): never {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new MillraceError('disk_full', { dir: dirname(this.#file) }, error);
    throw error;
  }
}
