import { checkStoreKey } from '../../domain/store-key.ts';
import type { StateWrite } from '../../ports/store.ts';

/*
 * HOT PATH. Every stateful operator reads and writes through here, several times an element, so
 * values stay objects and become text once a commit, however often they changed.
 */

type Entry = {
  value: unknown;
  isDirty: boolean;
  /** Since the cache was last swept. */
  wasUsed: boolean;
};

/** State that must be fetched before the element at hand can be worked on; it is then done again. */
export class Miss extends Error {
  override readonly name = 'Miss';
  readonly key: string;
  /** All keys that start with it are wanted, not it alone. */
  readonly isPrefix: boolean;

  constructor(key: string, isPrefix = false) {
    super(`state ${key} is not at hand`);
    this.key = key;
    this.isPrefix = isPrefix;
  }
}

/**
 * The JSON values of one task, at hand in memory: what is in the store, with all that was done
 * since over it. Values are replaced, never changed.
 */
export class ObjectState {
  readonly #entries = new Map<string, Entry>();
  readonly #limit: number;
  #wanted = new Set<string>();
  #dirty: (readonly [key: string, entry: Entry])[] = [];
  /** What the element at hand replaced, in order. */
  #undo: (readonly [entry: Entry, value: unknown])[] = [];
  /** Prefixes of which everything is at hand, until the batch ends. */
  readonly #ranges = new Set<string>();
  #isFillingRange = false;

  readonly #asKept: (value: unknown) => unknown;

  /** `asKept`: what stands for a value from then on. */
  constructor(limit: number, asKept: (value: unknown) => unknown = itself) {
    this.#limit = limit;
    this.#asKept = asKept;
  }

  /** Throws a Miss where the key's value is not at hand; `store_key_too_long` where it never will be. */
  get(key: string): unknown {
    const entry = this.#entries.get(key);
    if (entry === undefined) throw missing(key);
    entry.wasUsed = true;
    return entry.value;
  }

  /** Undefined removes. Throws a Miss where what it replaces is not at hand: it may be undone. */
  set(key: string, value: unknown): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) throw missing(key);
    this.#undo.push([entry, entry.value]);
    entry.value = this.#asKept(value);
    if (entry.isDirty) return;
    entry.isDirty = true;
    this.#dirty.push([key, entry]);
  }

  /** In the order of their keys. Throws a Miss unless all such keys are at hand. */
  entries(prefix: string): (readonly [key: string, value: unknown])[] {
    if (!this.#ranges.has(prefix)) throw new Miss(prefix, true);
    const found: (readonly [string, unknown])[] = [];
    for (const [key, { value }] of this.#entries) {
      if (value !== undefined && key.startsWith(prefix)) found.push([key, value]);
    }
    return found.toSorted(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Throws `store_key_too_long`, so that the element at hand fails alone. */
  want(key: string): void {
    if (this.#entries.has(key)) return;
    checkStoreKey(key);
    this.#wanted.add(key);
  }

  /** Keys that were wanted and are not at hand. */
  takeWanted(): readonly string[] {
    const wanted = [...this.#wanted];
    this.#wanted = new Set();
    return wanted;
  }

  /** What the store has under a key; not taken where something newer is at hand. */
  fill(key: string, text: string | undefined): void {
    if (this.#entries.has(key)) return;
    const value: unknown = text === undefined ? undefined : JSON.parse(text);
    this.#entries.set(key, { value, isDirty: false, wasUsed: true });
  }

  /** All that the store has under a prefix is to be filled in: until it is, nothing leaves. */
  beginRange(): void {
    this.#isFillingRange = true;
  }

  /** All that the store has under the prefix was filled in. */
  filledRange(prefix: string): void {
    this.#isFillingRange = false;
    this.#ranges.add(prefix);
  }

  keep(): void {
    this.#undo.length = 0;
  }

  /** Entries stay listed as changed: that they are written once more as they were is harmless. */
  undo(): void {
    for (const [entry, value] of this.#undo.reverse()) entry.value = value;
    this.#undo.length = 0;
  }

  /** What changed since the last time, to be committed now. */
  seal(): StateWrite[] {
    const writes: StateWrite[] = this.#dirty.map(([key, entry]) => {
      entry.isDirty = false;
      return [key, entry.value === undefined ? undefined : JSON.stringify(entry.value)];
    });
    this.#dirty = [];
    this.#ranges.clear();
    return writes;
  }

  /** The sealed writes are in the store: what is not of use may leave. */
  committed(): void {
    // The batch under way may count on ranges being whole.
    if (this.#ranges.size > 0 || this.#isFillingRange) return;
    if (this.#entries.size <= this.#limit) return;
    // Each that was used gets a second chance, at the end of the row.
    let looks = this.#entries.size;
    const aim = Math.floor(this.#limit * 0.9);
    for (const [key, entry] of this.#entries) {
      if (looks-- <= 0 || this.#entries.size <= aim) return;
      this.#entries.delete(key);
      if (!entry.isDirty && !entry.wasUsed) continue;
      entry.wasUsed = false;
      this.#entries.set(key, entry);
    }
  }

  /** Forgets all that is not in the store. */
  reset(): void {
    this.#entries.clear();
    this.#ranges.clear();
    this.#isFillingRange = false;
    this.#wanted.clear();
    this.#dirty = [];
    this.#undo.length = 0;
  }
}

function missing(key: string): Miss {
  checkStoreKey(key);
  return new Miss(key);
}

function itself(value: unknown): unknown {
  return value;
}
