import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import type { Commit, Outgoing, ServedValue, Store, TaskOffsets } from '../../ports/store.ts';
import { StoreDraft } from './store-draft.ts';
import { isExpired, parseServed, parseTask, type TaskEntry } from './store-entries.ts';
import {
  EXPIRIES,
  expiringKey,
  expiryKey,
  expiryPrefix,
  FORMAT,
  GARBAGE,
  garbagePrefix,
  membersPrefix,
  outgoingKey,
  outgoingPrefix,
  outgoingSequence,
  SERVED,
  servedKey,
  statePrefix,
  taskKey,
  TASKS,
} from './store-keys.ts';
import { type Entry, type Page, StoreTree, type Writer } from './store-tree.ts';

const FORMAT_VERSION = '2';

/** Entries read or removed in one step: long scans let others work in between. */
const PAGE = 1000;

/**
 * The embedded store: one LMDB environment, in a directory of its own. Any number of threads of
 * one process may open it; the writers among them take turns.
 *
 * What a resolved commit wrote is with the operating system, so that the death of the process
 * loses nothing; it is flushed soon after. store-keys.ts says what lies where.
 */
export class LmdbStore implements Store {
  readonly #dir: string;
  readonly #tree: StoreTree;

  private constructor(dir: string, tree: StoreTree) {
    this.#dir = dir;
    this.#tree = tree;
  }

  /** Creates the directory where there is none. Throws `data_dir_version`, `data_dir_unusable`. */
  static async open({ dir }: Readonly<{ dir: string }>): Promise<LmdbStore> {
    const tree = new StoreTree(dir);
    try {
      await checkFormat(dir, tree);
      return new LmdbStore(dir, tree);
    } catch (error) {
      await tree.close();
      throw error;
    }
  }

  async commit(commit: Commit): Promise<void> {
    await this.#draft((draft) => draft.commit(commit));
  }

  async offsets(task: string): Promise<TaskOffsets> {
    return this.#findTask(task)?.offsets ?? {};
  }

  async tasks(): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const { key, value } of this.#scan({ prefix: TASKS })) {
      if (parseTask(value).offsets) names.push(key.slice(TASKS.length));
    }
    return names;
  }

  async getMany(task: string, keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    const found = this.#findTask(task);
    if (!found) return keys.map(() => undefined);
    const prefix = statePrefix(found.number);
    return keys.map((key) => this.#tree.get(prefix + key));
  }

  async *range(
    task: string,
    prefix: string,
    options: { limit?: number; reverse?: boolean } = {},
  ): AsyncIterable<readonly [key: string, value: string]> {
    const found = this.#findTask(task);
    if (!found) return;
    const ofTask = statePrefix(found.number);
    for await (const { key, value } of this.#scan({ ...options, prefix: ofTask + prefix })) {
      yield [key.slice(ofTask.length), value];
    }
  }

  async outgoing(task: string, maxBytes: number): Promise<readonly Outgoing[]> {
    const found = this.#findTask(task);
    if (!found) return [];
    const outgoing: Outgoing[] = [];
    let bytes = 0;
    const prefix = outgoingPrefix(found.number);
    for (const { key } of this.#tree.page({ prefix, limit: PAGE, keysOnly: true })) {
      const chunk = must(this.#tree.bytes(key), 'it was listed in this turn');
      bytes += chunk.length;
      if (bytes > maxBytes && outgoing.length > 0) break;
      outgoing.push({ sequence: outgoingSequence(key), chunk });
    }
    return outgoing;
  }

  async forwarded(task: string, { sequence, chunk }: Outgoing): Promise<void> {
    const found = this.#findTask(task);
    if (!found) return;
    const prefix = outgoingPrefix(found.number);
    const last = outgoingKey(found.number, sequence);
    const stored = this.#tree.bytes(last);
    if (stored === undefined || Buffer.compare(stored, chunk) !== 0) return;
    for (let more = true; more;) {
      more = await this.#tree.transaction((writer) => {
        const page = this.#tree.page({ prefix, limit: PAGE, keysOnly: true });
        const done = page.filter(({ key }) => key <= last);
        for (const { key } of done) writer.remove(key);
        return done.length === PAGE;
      });
    }
  }

  async get(key: string, nowMs: number): Promise<ServedValue | undefined> {
    this.#tree.refresh();
    const stored = this.#tree.get(servedKey(key));
    if (stored === undefined) return undefined;
    const entry = parseServed(stored);
    if (isExpired(entry, nowMs)) return undefined;
    if (entry.type === 'string') return entry;
    // At once, so that the members are those of one moment.
    const prefix = membersPrefix(entry.number);
    const members = this.#tree.page({ prefix, limit: entry.count, keysOnly: true });
    return { type: 'set', members: members.map((member) => member.key.slice(prefix.length)) };
  }

  async *keys(
    prefix: string,
    nowMs: number,
    { limit = Infinity, after }: { limit?: number; after?: string } = {},
  ): AsyncIterable<string> {
    if (limit <= 0) return;
    const ofServed = servedKey(prefix);
    // A key before the prefix would be a start before the range.
    const start = after === undefined || servedKey(after) < ofServed ? undefined : servedKey(after);
    let listed = 0;
    for await (const { key, value } of this.#scan({ prefix: ofServed, after: start })) {
      if (isExpired(parseServed(value), nowMs)) continue;
      yield key.slice(SERVED.length);
      if (++listed >= limit) return;
    }
  }

  async sweep(nowMs: number): Promise<number> {
    await this.#removeGarbage();
    for (;;) {
      this.#tree.refresh();
      if (this.#due(nowMs, 1).length === 0) return 0;
      const removed = await this.#tree.transaction((writer) => this.#sweepPage(writer, nowMs));
      if (removed > 0) return removed;
    }
  }

  async dropTask(task: string): Promise<void> {
    await this.#draft((draft) => draft.dropTask(task));
    while (await this.#removeGarbage());
  }

  async sizeBytes(): Promise<number> {
    return (await stat(join(this.#dir, 'data.mdb'))).size;
  }

  /** Waits for what is being written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tree.close();
  }

  #findTask(name: string): TaskEntry | undefined {
    this.#tree.refresh();
    const stored = this.#tree.get(taskKey(name));
    return stored === undefined ? undefined : parseTask(stored);
  }

  async #draft(fill: (draft: StoreDraft) => void): Promise<void> {
    await this.#tree.transaction((writer) => {
      const draft = new StoreDraft((key) => this.#tree.get(key));
      fill(draft);
      draft.write(writer);
    });
  }

  async *#scan({
    limit = Infinity,
    ...range
  }: Omit<Page, 'limit'> & { limit?: number }): AsyncIterable<Entry> {
    let after = range.after;
    for (let left = limit; left > 0;) {
      this.#tree.refresh();
      const page = this.#tree.page({ ...range, after, limit: Math.min(PAGE, left) });
      yield* page;
      if (page.length < PAGE) return;
      left -= page.length;
      after = page.at(-1)?.key;
    }
  }

  /** Returns how many keys it removed; of what is due in the index, others may have another expiry by now. */
  #sweepPage(writer: Writer, nowMs: number): number {
    let removed = 0;
    for (const { key: indexKey } of this.#due(nowMs, PAGE)) {
      writer.remove(indexKey);
      const key = expiringKey(indexKey);
      const stored = this.#tree.get(servedKey(key));
      const entry = stored === undefined ? undefined : parseServed(stored);
      if (entry?.type !== 'string' || entry.expiresAtMs === undefined) continue;
      if (entry.expiresAtMs > nowMs) writer.put(expiryKey(entry.expiresAtMs, key), '');
      else {
        writer.remove(servedKey(key));
        removed += 1;
      }
    }
    return removed;
  }

  #due(nowMs: number, limit: number): Entry[] {
    return this.#tree.page({
      prefix: EXPIRIES,
      to: expiryPrefix(Math.floor(nowMs)),
      limit,
      keysOnly: true,
    });
  }

  /** One bounded step; says whether there may be more to do. */
  async #removeGarbage(): Promise<boolean> {
    this.#tree.refresh();
    if (this.#garbage() === undefined) return false;
    await this.#tree.transaction((writer) => {
      const garbage = this.#garbage();
      if (garbage === undefined) return;
      const page = this.#tree.page({
        prefix: garbagePrefix(garbage),
        limit: PAGE,
        keysOnly: true,
      });
      for (const { key } of page) writer.remove(key);
      if (page.length < PAGE) writer.remove(garbage);
    });
    return true;
  }

  #garbage(): string | undefined {
    return this.#tree.page({ prefix: GARBAGE, limit: 1, keysOnly: true })[0]?.key;
  }
}

async function checkFormat(dir: string, tree: StoreTree): Promise<void> {
  const found =
    tree.get(FORMAT) ??
    (await tree.transaction((writer) => {
      if (tree.get(FORMAT) === undefined) writer.put(FORMAT, FORMAT_VERSION);
      return tree.get(FORMAT);
    }));
  if (found !== FORMAT_VERSION) {
    throw new MillraceError('data_dir_version', { dir, expected: FORMAT_VERSION, found });
  }
}
