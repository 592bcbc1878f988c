import { createHash } from 'node:crypto';
import { MillraceError } from '../../domain/errors.ts';
import { checkStoreKey } from '../../domain/store-key.ts';
import { must } from '../../lib/must.ts';
import { compareUtf8 } from '../../lib/utf8-order.ts';
import type {
  Commit,
  Outgoing,
  ServedValue,
  ServedWrite,
  Store,
  TaskOffsets,
} from '../../ports/store.ts';
import { COMMIT, commitArguments } from './commit-script.ts';
import type { RedisAddress } from './client.ts';
import { RedisConnection } from './connection.ts';
import { foldAdds } from './folded-adds.ts';
import {
  DROP_TASK,
  FORWARDED,
  GET,
  READ_OUTGOING,
  SERVED_PAGE,
  STATE_PAGE,
  SWEEP,
} from './scripts.ts';
import { checkServer } from './server-check.ts';
import { OFFSETS, RESERVED, STATE, TASKS } from './store-keys.ts';

/** Entries read or removed in one step: Redis serves nobody else meanwhile. */
const PAGE = 1000;
/** A server that is stopped, or cut off without a word, is noticed after so long. */
const SILENCE_MS = 15_000;

/**
 * The store on a Redis server, in one of its databases. Any number of processes may open it; each
 * commit is one script. store-keys.ts says what lies where.
 *
 * How much a power cut or the server's death loses is for its `appendonly` and `save` to say; what
 * is left is as some earlier commit left it.
 */
export class RedisStore implements Store {
  readonly #connection: RedisConnection;

  private constructor(connection: RedisConnection) {
    this.#connection = connection;
  }

  /**
   * Throws `store_unreachable`, `store_login_failed`, `store_unsuitable`, `store_refuses_writes`: as
   * every other call does, since the server is checked anew after each time of connecting.
   */
  static async open(
    address: RedisAddress,
    { silenceMs = SILENCE_MS }: Readonly<{ silenceMs?: number }> = {},
  ): Promise<RedisStore> {
    const connection = await RedisConnection.open(address, { check: checkServer, silenceMs });
    return new RedisStore(connection);
  }

  /**
   * Rejects with `store_unreachable` also when the connection is lost before the answer: the stored
   * offsets then say whether the commit applied.
   */
  async commit(commit: Commit): Promise<void> {
    checkKeys(commit);
    const folded = foldAdds(commit.served);
    const writes = folded.map(({ write }) => write);
    const reply = await this.#connection.run(COMMIT, ...commitArguments(commit, writes));
    if (reply === 'applied') return;
    if (reply[0] === 'conflict') {
      const { task, from } = commit;
      const found = parseOffsets(reply[1]);
      throw new MillraceError('commit_conflict', { task, expected: from, found });
    }
    const { place } = must(folded[reply[1]], 'it was sent');
    throw refusal(must(commit.served[place], 'the first of its key'), reply[2]);
  }

  async offsets(task: string): Promise<TaskOffsets> {
    return parseOffsets(await this.#connection.call<string[]>('HGETALL', `${OFFSETS}${task}`));
  }

  async tasks(): Promise<readonly string[]> {
    return this.#connection.call<string[]>('ZRANGE', TASKS, '0', '-1');
  }

  async getMany(task: string, keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    const pages = Array.from({ length: Math.ceil(keys.length / PAGE) }, (_, page) =>
      keys.slice(page * PAGE, (page + 1) * PAGE),
    );
    const values = await Promise.all(
      pages.map((page) =>
        this.#connection.call<(string | null)[]>('HMGET', `${STATE}${task}`, ...page),
      ),
    );
    return values.flat().map((value) => value ?? undefined);
  }

  async *range(
    task: string,
    prefix: string,
    { limit = Infinity, reverse = false }: { limit?: number; reverse?: boolean } = {},
  ): AsyncIterable<readonly [key: string, value: string]> {
    let from = reverse ? endOf(prefix) : `[${prefix}`;
    const to = reverse ? `[${prefix}` : endOf(prefix);
    for (let left = limit; left > 0; left -= PAGE) {
      const most = String(Math.min(PAGE, left));
      const direction = reverse ? 'REV' : '';
      const page = [task, from, to, most, direction] as const;
      const [keys, values] = await this.#connection.run(STATE_PAGE, ...page);
      for (const [at, key] of keys.entries()) yield [key, values[at] ?? ''];
      if (keys.length < PAGE) return;
      from = `(${keys.at(-1) ?? ''}`;
    }
  }

  async outgoing(task: string, maxBytes: number): Promise<readonly Outgoing[]> {
    const most = String(Math.min(maxBytes, Number.MAX_SAFE_INTEGER));
    const [first, chunks] = await this.#connection.run(READ_OUTGOING, task, most);
    return chunks.map((chunk, at) => ({ sequence: first + at, chunk }));
  }

  async forwarded(task: string, { sequence, chunk }: Outgoing): Promise<void> {
    const sha1 = createHash('sha1').update(chunk).digest('hex');
    await this.#connection.run(FORWARDED, task, String(sequence), sha1);
  }

  async get(key: string, nowMs: number): Promise<ServedValue | undefined> {
    if (key.startsWith(RESERVED)) return undefined;
    const found = await this.#connection.run(GET, key);
    if (found === null) return undefined;
    if (found[0] === 'set') return { type: 'set', members: found[1].toSorted(compareUtf8) };
    const [type, value, expiry] = found;
    if (expiry === '') return { type, value };
    return Number(expiry) <= nowMs ? undefined : { type, value, expiresAtMs: Number(expiry) };
  }

  async *keys(
    prefix: string,
    nowMs: number,
    { limit = Infinity, after }: { limit?: number; after?: string } = {},
  ): AsyncIterable<string> {
    if (limit <= 0) return;
    const isWithin = after !== undefined && compareUtf8(after, prefix) >= 0;
    let from = isWithin ? `(${after}` : `[${prefix}`;
    for (let listed = 0; ;) {
      const page = [from, endOf(prefix), String(PAGE)] as const;
      const [keys, expiries] = await this.#connection.run(SERVED_PAGE, ...page);
      for (const [at, key] of keys.entries()) {
        if (Number(expiries[at] ?? Infinity) <= nowMs) continue;
        yield key;
        if (++listed >= limit) return;
      }
      if (keys.length < PAGE) return;
      from = `(${keys.at(-1) ?? ''}`;
    }
  }

  async sweep(nowMs: number): Promise<number> {
    return this.#connection.run(SWEEP, String(nowMs), String(PAGE));
  }

  /** At once, and so never cut short. */
  async dropTask(task: string): Promise<void> {
    await this.#connection.run(DROP_TASK, task);
  }

  /** Of the whole server's memory. */
  async sizeBytes(): Promise<number | undefined> {
    const info = await this.#connection.call<string>('INFO', 'memory');
    const used = /^used_memory:(\d+)/m.exec(info)?.[1];
    return used === undefined ? undefined : Number(used);
  }

  /** Waits for what was sent. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}

function checkKeys({ task, state, served }: Commit): void {
  checkStoreKey(task);
  for (const [key] of state) checkStoreKey(key);
  for (const write of served) {
    checkStoreKey(write.key);
    if ('member' in write) checkStoreKey(write.member);
    if (write.key.startsWith(RESERVED)) throw refusal(write, `a key of the store's own`);
  }
}

/** Without the value: facts are shown and logged. */
function refusal(write: ServedWrite, found: string): MillraceError {
  return new MillraceError('served_write_refused', {
    key: write.key,
    write: write.op,
    ...(write.op === 'add' && { amount: write.amount }),
    found,
  });
}

function parseOffsets(reply: readonly string[]): TaskOffsets {
  const pairs = Array.from({ length: reply.length / 2 }, (_, at): [string, number] => [
    reply[2 * at] ?? '',
    Number(reply[2 * at + 1]),
  ]);
  return Object.fromEntries(pairs);
}

/** After all that starts so, as no byte of UTF-8 is 255. */
function endOf(prefix: string): Buffer {
  return Buffer.concat([Buffer.from(`(${prefix}`), Buffer.of(0xff)]);
}
