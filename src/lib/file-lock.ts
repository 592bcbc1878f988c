import { writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/**
 * A lock that the kernel lets go of when the process ends, however that ends; the threads of a
 * process each count as a taker. Held through SQLite, as Node has no call for it.
 */
export class FileLock implements Disposable {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Undefined while another holds it. Creates the file; throws what the file system throws. */
  static tryTake(file: string): FileLock | undefined {
    // SQLite would let everybody read it, and whoever reads it can keep us from locking it.
    writeFileSync(file, '', { flag: 'a', mode: 0o600 });
    const database = new DatabaseSync(file);
    try {
      database.exec('PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE');
      return new FileLock(database);
    } catch (error) {
      database.close();
      if (error instanceof Error && error.message.includes('locked')) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
