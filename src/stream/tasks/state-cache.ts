/**
 * Values of state keys as the store has them, of the keys used last. A value of `undefined` says
 * that the store has none. Keeps between `maxEntries` / 2 and `maxEntries`: two generations, of
 * which the older goes at once, which costs no bookkeeping a read.
 */
export class StateCache {
  readonly #generationEntries: number;
  #young = new Map<string, string | undefined>();
  #old = new Map<string, string | undefined>();

  constructor(maxEntries: number) {
    this.#generationEntries = Math.max(1, Math.floor(maxEntries / 2));
  }

  has(key: string): boolean {
    return this.#young.has(key) || this.#old.has(key);
  }

  get(key: string): string | undefined {
    if (this.#young.has(key)) return this.#young.get(key);
    const value = this.#old.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  set(key: string, value: string | undefined): void {
    if (this.#young.size >= this.#generationEntries && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}
