type Sample = Readonly<{ atMs: number; total: number }>;

const WINDOW_MS = 5000;

/** How fast counts grow, over the last seconds. A count that falls is that of a new start. */
export class RateMeter {
  readonly #samples = new Map<string, Sample[]>();

  sample(name: string, atMs: number, total: number): void {
    const known = this.#samples.get(name) ?? [];
    const isRestart = total < (known.at(-1)?.total ?? 0);
    const kept = isRestart ? [] : known.filter((each) => each.atMs > atMs - WINDOW_MS);
    this.#samples.set(name, [...kept, { atMs, total }]);
  }

  perSecond(name: string): number {
    const samples = this.#samples.get(name) ?? [];
    const first = samples.at(0);
    const last = samples.at(-1);
    if (first === undefined || last === undefined || first.atMs === last.atMs) return 0;
    return ((last.total - first.total) / (last.atMs - first.atMs)) * 1000;
  }
}
