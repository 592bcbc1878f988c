import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { asBinary, type Key, open, type RootDatabase } from 'lmdb';
import { MillraceError } from '../../domain/errors.ts';
import { refuseFullDisk } from './free-space.ts';
import { throughGate } from './transaction-gate.ts';

/** Bytes are read by `bytes`, and nothing else is. */
export type Value = string | Uint8Array;

export type Entry = Readonly<{ key: string; value: string }>;

export type Page = Readonly<{
  prefix: string;
  limit: number;
  reverse?: boolean;
  /** Go on behind this key. */
  after?: string | undefined;
  /** Forwards only: end behind the keys that start with this. */
  to?: string;
  /** Leave the values out: they read as "". */
  keysOnly?: boolean;
}>;

/**
 * One LMDB environment that holds text, or bytes, under text, ordered by the UTF-8 bytes of the keys. Every
 * thread of the process opens its own `StoreTree` on the same directory.
 *
 * Reads see all that was committed when they are called. Nothing here holds a read transaction
 * longer than a call: one that is held keeps LMDB from using the space of removed entries again.
 */
export class StoreTree {
  readonly #dir: string;
  readonly #db: RootDatabase<string, Key>;
  /**
   * False after a commit that failed: lmdb-js then waits for its flush, which never comes, until
   * another commit succeeds. The environment of such a one closes with the process.
   */
  #awaitsFlush = true;

  constructor(dir: string) {
    this.#dir = dir;
    try {
      this.#db = open<string, Key>({
        path: dir,
        noSubdir: false,
        encoding: 'string',
        keyEncoder,
        // A commit is visible before it is flushed, and its flush does not keep the next one
        // waiting; after a power cut, the last flushed commit counts.
        overlappingSync: true,
        // Batches by event turn have a promise of their own, which nobody can catch when the disk
        // is full. Transactions need no such batches.
        eventTurnBatching: false,
      });
    } catch (error) {
      throw openError(dir, error);
    }
  }

  get(key: string): string | undefined {
    return this.#db.get(key);
  }

  bytes(key: string): Uint8Array | undefined {
    return this.#db.getBinary(key);
  }

  /** Reads that follow, up to the next turn of the event loop, see the newest commit, and all the same. */
  refresh(): void {
    this.#db.resetReadTxn();
  }

  page({ prefix, limit, reverse = false, after, to = prefix, keysOnly = false }: Page): Entry[] {
    const range = {
      start: after ?? (reverse ? pastPrefix(prefix) : prefix),
      end: reverse ? prefix : pastPrefix(to),
      // A key that equals the prefix belongs to it.
      inclusiveEnd: reverse,
      exclusiveStart: after !== undefined,
      reverse,
      limit,
    };
    if (keysOnly) {
      return Array.from(this.#db.getKeys(range), (key) => ({ key: key as string, value: '' }));
    }
    return Array.from(this.#db.getRange(range), ({ key, value }) => ({
      key: key as string,
      value,
    }));
  }

  /**
   * Runs `change` alone among all writers, then commits what it wrote: all of it, or, when `change`
   * or the commit fails, nothing. Resolves when every thread can read it. Transactions that are
   * asked for while one is under way are committed together.
   */
  async transaction<T>(change: (writer: Writer) => T): Promise<T> {
    refuseFullDisk(join(this.#dir, 'data.mdb'));
    const writer: Writer = {
      put: (key, value) =>
        void this.#db.put(key, typeof value === 'string' ? value : binary(value)),
      remove: (key) => void this.#db.remove(key),
    };
    try {
      const result = await this.#db.childTransaction(() => throughGate(() => change(writer)));
      this.#awaitsFlush = true;
      return result;
    } catch (error) {
      throw await this.#writeError(error);
    }
  }

  /** Waits for what is being written and flushed. */
  async close(): Promise<void> {
    const closed = this.#db.close();
    if (this.#awaitsFlush) await closed;
  }

  async #writeError(error: unknown): Promise<unknown> {
    if (error instanceof MillraceError) return error;
    const cause = await commitErrorOf(error);
    if (cause !== error) this.#awaitsFlush = false;
    // LMDB takes a write that was cut short for an I/O error: what remains free tells.
    const isFull = isDiskFull(cause) || (lmdbCode(cause) === EIO && (await hasNoSpace(this.#dir)));
    return isFull ? new MillraceError('disk_full', { dir: this.#dir }, cause) : cause;
  }
}

export type Writer = Readonly<{
  put(key: string, value: Value): void;
  remove(key: string): void;
}>;

/** As lmdb-js wants bytes to be told apart from what it is to encode. */
function binary(bytes: Uint8Array): string {
  return asBinary(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)) as unknown as string;
}

/** Keys are the bare UTF-8 of a text, or bytes that are no text: those only bound a range. */
const keyEncoder = {
  writeKey(key: string | Uint8Array, target: Buffer, start: number): number {
    // lmdb-js takes a larger buffer when it sees a RangeError; Buffer.write would cut the key short.
    if (typeof key !== 'string') target.set(key, start);
    else if (
      key.length * 3 > target.length - start &&
      Buffer.byteLength(key) > target.length - start
    ) {
      throw new RangeError('the key does not fit the buffer');
    } else return start + target.write(key, start);
    return start + key.length;
  },
  readKey: (source: Buffer, start: number, end: number): string =>
    source.toString('utf8', start, end),
};

/** A bound behind all keys that start with `prefix`, as 0xFF is in no UTF-8. */
function pastPrefix(prefix: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.byteLength(prefix) + 1);
  bytes.set(Buffer.from(prefix));
  bytes[bytes.length - 1] = 0xff;
  return bytes;
}

/** lmdb-js rejects with a general error that promises the reason. */
async function commitErrorOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error && 'commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (reason) {
    return reason;
  }
}

async function hasNoSpace(dir: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize < 1 << 20;
}

const EIO = 5;
const ENOSPC = 28;
const EDQUOT = 122;
const MDB_MAP_FULL = -30792;
const MDB_VERSION_MISMATCH = -30794;

function isDiskFull(error: unknown): boolean {
  return [ENOSPC, EDQUOT, MDB_MAP_FULL].includes(lmdbCode(error));
}

function openError(dir: string, error: unknown): unknown {
  if (error instanceof MillraceError) return error;
  if (isDiskFull(error)) return new MillraceError('disk_full', { dir }, error);
  if (lmdbCode(error) === MDB_VERSION_MISMATCH) {
    return new MillraceError('data_dir_version', { dir }, error);
  }
  return new MillraceError('data_dir_unusable', { dir }, error);
}

function lmdbCode(error: unknown): number {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'number' ? code : 0;
}
