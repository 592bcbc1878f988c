import { checkStoreKey } from '../../domain/store-key.ts';
import { compareUtf8 } from '../../lib/utf8-order.ts';
import type { StateWrite, Store } from '../../ports/store.ts';
import type { TaskState } from '../processor.ts';
import { StateCache } from './state-cache.ts';

/** State keys that start with it are the runner's own: processors neither see nor write them. */
export const RESERVED = '\u0000';

type Writes = Map<string, string | undefined>;

/**
 * What a task's state will be once all it did is committed, in layers: the writes of the record at
 * hand, over those of its batch, over those of the batch whose commit is under way, over what the
 * store has.
 *
 * A record's writes are kept or undone as one, so that a record that fails leaves nothing. After
 * a commit that failed, only `reset` makes it right again.
 */
export class StateOverlay {
  readonly #store: Store;
  readonly #task: string;
  readonly #cache: StateCache;
  /** Committed values that this batch's keys had when fetched. */
  readonly #fetched: Writes = new Map();
  #record: Writes = new Map();
  #batch: Writes = new Map();
  #committing: Writes = new Map();
  #fault: { readonly error: unknown } | undefined;

  constructor({ store, task, cacheEntries }: { store: Store; task: string; cacheEntries: number }) {
    this.#store = store;
    this.#task = task;
    this.#cache = new StateCache(cacheEntries);
  }

  /** A failure of the store during `fetch` or `range`: not the fault of the record at hand. */
  get fault(): { readonly error: unknown } | undefined {
    return this.#fault;
  }

  /** Makes committed values readable by `get`, for the rest of the batch. */
  async fetch(keys: Iterable<string>): Promise<void> {
    const missing: string[] = [];
    for (const key of keys) {
      if (this.#fetched.has(key)) continue;
      if (this.#committing.has(key)) this.#fetched.set(key, this.#committing.get(key));
      else if (this.#cache.has(key)) this.#fetched.set(key, this.#cache.get(key));
      else missing.push(key);
    }
    if (missing.length === 0) return;
    const values = await this.#guarded(() => this.#store.getMany(this.#task, missing));
    missing.forEach((key, index) => {
      this.#fetched.set(key, values[index]);
      if (!this.#cache.has(key)) this.#cache.set(key, values[index]);
    });
  }

  get(key: string): string | undefined {
    if (this.#record.has(key)) return this.#record.get(key);
    if (this.#batch.has(key)) return this.#batch.get(key);
    const value = this.#fetched.get(key);
    if (value === undefined && !this.#fetched.has(key)) {
      throw new Error(`state key ${key} was neither named by reads() nor loaded`);
    }
    return value;
  }

  /** `undefined` removes the key. */
  write(key: string, value: string | undefined): void {
    this.#record.set(key, value);
  }

  /** Entries in byte order of the keys; later writes do not change a range that has begun. */
  async *range(prefix: string): AsyncGenerator<readonly [key: string, value: string]> {
    const own = this.#ownWrites(prefix);
    let at = 0;
    const stored = this.#store.range(this.#task, prefix)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.#guarded(() => stored.next());
        const upTo = next.done === true ? undefined : next.value[0];
        for (let entry = own[at]; entry !== undefined; entry = own[at]) {
          if (upTo !== undefined && compareUtf8(entry[0], upTo) >= 0) break;
          at += 1;
          if (entry[1] !== undefined) yield [entry[0], entry[1]];
        }
        if (next.done === true) return;
        if (own[at]?.[0] !== upTo) yield next.value;
      }
    } finally {
      await stored.return?.();
    }
  }

  /** The record's writes join its batch. */
  keep(): void {
    for (const [key, value] of this.#record) this.#batch.set(key, value);
    if (this.#record.size > 0) this.#record = new Map();
  }

  /** The record's writes are gone. */
  undo(): void {
    this.#record = new Map();
  }

  /** Ends the batch: its writes, which the caller commits now. The commit before must have ended. */
  seal(): readonly StateWrite[] {
    this.#committing = this.#batch;
    this.#batch = new Map();
    this.#fetched.clear();
    return [...this.#committing];
  }

  /** The commit of the sealed batch has succeeded. */
  committed(): void {
    for (const [key, value] of this.#committing) this.#cache.set(key, value);
    this.#committing = new Map();
  }

  /** Forgets all that is not in the store, and all that was read from it. */
  reset(): void {
    this.undo();
    this.#batch = new Map();
    this.#committing = new Map();
    this.#fetched.clear();
    this.#cache.clear();
    this.#fault = undefined;
  }

  /** The state as a processor may use it. */
  forProcessor(): TaskState {
    return {
      get: (key) => this.get(key),
      set: (key, value) => this.write(allowed(key), value),
      delete: (key) => this.write(allowed(key), undefined),
      load: async (keys) => this.fetch(new Set(keys.map(allowed))),
      range: (prefix) => this.#visibleRange(prefix),
    };
  }

  async *#visibleRange(prefix: string): AsyncGenerator<readonly [key: string, value: string]> {
    for await (const entry of this.range(prefix)) {
      if (!entry[0].startsWith(RESERVED)) yield entry;
    }
  }

  #ownWrites(prefix: string): (readonly [key: string, value: string | undefined])[] {
    const merged: Writes = new Map();
    for (const layer of [this.#committing, this.#batch, this.#record]) {
      for (const [key, value] of layer) if (key.startsWith(prefix)) merged.set(key, value);
    }
    return [...merged].toSorted(([a], [b]) => compareUtf8(a, b));
  }

  async #guarded<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      this.#fault ??= { error };
      throw error;
    }
  }
}

/** The key, if a processor may use it; else throws. */
export function allowed(key: string): string {
  if (key.startsWith(RESERVED)) throw new Error('state keys that start with \\u0000 are reserved');
  checkStoreKey(key);
  return key;
}
