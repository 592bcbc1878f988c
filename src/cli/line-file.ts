import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
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
    const draft = `${file}.${randomUUID()}`;
    try {
      return new LineFile(file, draft, await open(draft, 'wx'));
    } catch (error) {
      return unwritable(error);
    }
  }

  /** Throws `disk_full`. */
  async print(lines: string): Promise<void> {
    await this.#handle.writeFile(`${lines}\n`).catch((error: unknown) => this.#fail(error));
  }

  /** Throws `disk_full`, and `usage` when a folder has its name. */
  async finish(): Promise<void> {
    await this.#handle.sync().catch((error: unknown) => this.#fail(error));
    await rename(this.#draft, this.#file).catch(unwritable);
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

function unwritable(error: unknown): never {
  const { message } = error as Error;
  throw new MillraceError('usage', { expected: 'a file to write to', found: message }, error);
}
