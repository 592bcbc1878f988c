/** What waits for a time, earliest first: state keys under the watermark at which they are due. */
export class TimeIndex {
  readonly #keys = new Map<number, Set<string>>();
  /** Ascending: there are few different times, as windows end together. */
  readonly #times: number[] = [];

  nextMs(): number | undefined {
    return this.#times[0];
  }

  add(dueMs: number, key: string): void {
    const keys = this.#keys.get(dueMs);
    if (keys !== undefined) {
      keys.add(key);
      return;
    }
    this.#keys.set(dueMs, new Set([key]));
    this.#times.splice(this.#placeOf(dueMs), 0, dueMs);
  }

  remove(dueMs: number, key: string): void {
    const keys = this.#keys.get(dueMs);
    if (keys === undefined || !keys.delete(key) || keys.size > 0) return;
    this.#keys.delete(dueMs);
    this.#times.splice(this.#placeOf(dueMs), 1);
  }

  /** However often it is listed up to this time. */
  removeUpTo(watermarkMs: number, key: string): void {
    for (const time of this.#times.filter((each) => each <= watermarkMs)) this.remove(time, key);
  }

  due(watermarkMs: number, limit: number): string[] {
    const found: string[] = [];
    for (const time of this.#times) {
      if (time > watermarkMs) break;
      for (const key of this.#keys.get(time) ?? []) {
        if (found.length >= limit) return found;
        found.push(key);
      }
    }
    return found;
  }

  clear(): void {
    this.#keys.clear();
    this.#times.length = 0;
  }

  #placeOf(dueMs: number): number {
    let low = 0;
    let high = this.#times.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#times[middle] ?? Infinity) < dueMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
