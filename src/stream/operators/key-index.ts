import { TimeIndex } from './time-index.ts';

/**
 * What waits for time, one entry a key: the first time at which anything of the key is due, or one
 * before that. It is never later, also where what moved it was undone; so what is due says for
 * itself when it really is.
 */
export class KeyIndex {
  readonly #times = new TimeIndex();
  readonly #dueMs = new Map<string, number>();

  nextMs(): number | undefined {
    return this.#times.nextMs();
  }

  due(watermarkMs: number, limit: number): string[] {
    return this.#times.due(watermarkMs, limit);
  }

  listedAt(key: string): number | undefined {
    return this.#dueMs.get(key);
  }

  /** Something of the key is due then; something else may be before. */
  atMost(dueMs: number, key: string): void {
    if ((this.#dueMs.get(key) ?? Infinity) > dueMs) this.set(dueMs, key);
  }

  /** Nothing of the key is due before; undefined: at all. */
  set(dueMs: number | undefined, key: string): void {
    const before = this.#dueMs.get(key);
    if (before === dueMs) return;
    if (before !== undefined) this.#times.remove(before, key);
    if (dueMs === undefined) {
      this.#dueMs.delete(key);
      return;
    }
    this.#dueMs.set(key, dueMs);
    this.#times.add(dueMs, key);
  }

  clear(): void {
    this.#times.clear();
    this.#dueMs.clear();
  }
}
