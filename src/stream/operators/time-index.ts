import { must } from '../../lib/must.ts';

/** State keys that wait for one time. */
type Bucket = {
  readonly keys: Set<string>;
  /** Of them, the last first; and some that no longer are. Undefined where it must be made. */
  order: string[] | undefined;
};

/**
 * What waits for a time: state keys under the watermark at which they are due. They become due in
 * the order of time and then of key, whatever the order in which they came: after a restart they are
 * read back in another, and what they put out must come in the same.
 */
export class TimeIndex {
  readonly #buckets = new Map<number, Bucket>();
  /** A heap of their times: none is later than the two that are under it. Some have no bucket any more. */
  readonly #times: number[] = [];

  nextMs(): number | undefined {
    for (let first = this.#times[0]; first !== undefined; first = this.#times[0]) {
      if (this.#buckets.has(first)) return first;
      this.#pop();
    }
    return undefined;
  }

  add(dueMs: number, key: string): void {
    const bucket = this.#buckets.get(dueMs);
    if (bucket === undefined) {
      this.#buckets.set(dueMs, { keys: new Set([key]), order: undefined });
      this.#push(dueMs);
      return;
    }
    bucket.keys.add(key);
    bucket.order = undefined;
  }

  remove(dueMs: number, key: string): void {
    const keys = this.#buckets.get(dueMs)?.keys;
    if (keys?.delete(key) === true && keys.size === 0) this.#buckets.delete(dueMs);
  }

  due(watermarkMs: number, limit: number): string[] {
    const next = this.nextMs();
    if (next === undefined || next > watermarkMs) return [];
    if (limit === 1) return [firstOf(must(this.#buckets.get(next), 'it has a time'))];
    const found: string[] = [];
    for (const time of this.#upTo(watermarkMs)) {
      const keys = this.#buckets.get(time)?.keys ?? [];
      for (const key of [...keys].toSorted()) {
        found.push(key);
        if (found.length >= limit) return found;
      }
    }
    return found;
  }

  clear(): void {
    this.#buckets.clear();
    this.#times.length = 0;
  }

  #upTo(watermarkMs: number): number[] {
    const found = new Set<number>();
    const open = [0];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const time = this.#times[at];
      if (time === undefined || time > watermarkMs) continue;
      found.add(time);
      open.push(2 * at + 1, 2 * at + 2);
    }
    return [...found].toSorted((a, b) => a - b);
  }

  #push(time: number): void {
    const times = this.#times;
    let at = times.push(time) - 1;
    while (at > 0) {
      const above = (at - 1) >>> 1;
      const other = times[above] ?? -Infinity;
      if (other <= time) break;
      times[at] = other;
      at = above;
    }
    times[at] = time;
  }

  #pop(): void {
    const times = this.#times;
    const last = times.pop();
    if (last === undefined || times.length === 0) return;
    let at = 0;
    for (;;) {
      let under = 2 * at + 1;
      if ((times[under + 1] ?? Infinity) < (times[under] ?? Infinity)) under += 1;
      const other = times[under] ?? Infinity;
      if (other >= last) break;
      times[at] = other;
      at = under;
    }
    times[at] = last;
  }
}

function firstOf(bucket: Bucket): string {
  const { keys } = bucket;
  bucket.order ??= [...keys].toSorted().reverse();
  const { order } = bucket;
  for (let key = order.at(-1); key !== undefined; key = order.at(-1)) {
    if (keys.has(key)) return key;
    order.pop();
  }
  throw new Error('a bucket is not empty');
}
