/** As kept in the task's state. */
export type KeptTime = Readonly<{
  /** The latest event time seen, by upstream partition. */
  seen: Readonly<Record<string, number>>;
  /** The watermark last told to each partition of the topics that the stage writes for others. */
  told: Readonly<Record<string, number>>;
  /** The least time that must have passed at the sources for something to be due. */
  waitsForMs?: number;
}>;

/**
 * How far event time has come in one task: the least, over its upstream partitions, of the latest
 * time seen in each. It follows from the records alone, in their order.
 */
export class StreamTime {
  readonly #upstream: readonly string[];
  #seen = new Map<string, number>();
  #watermarkMs = -Infinity;
  #told = new Map<string, number>();
  #waitsForMs: number | undefined;
  #isChanged = false;

  /** A task that reads a source has itself upstream. */
  constructor(upstream: readonly string[]) {
    this.#upstream = upstream;
  }

  get watermarkMs(): number {
    return this.#watermarkMs;
  }

  observe(upstream: string, timeMs: number): void {
    if (timeMs <= (this.#seen.get(upstream) ?? -Infinity)) return;
    this.#seen.set(upstream, timeMs);
    this.#isChanged = true;
    this.#recount();
  }

  /** Nothing earlier comes any more from wherever. */
  advance(timeMs: number): void {
    for (const upstream of this.#upstream) this.observe(upstream, timeMs);
  }

  toldTo(target: string): number {
    return this.#told.get(target) ?? -Infinity;
  }

  tell(target: string, watermarkMs: number): void {
    this.#told.set(target, watermarkMs);
    this.#isChanged = true;
  }

  restore(kept: KeptTime | undefined): void {
    this.#seen = new Map(Object.entries(kept?.seen ?? {}));
    this.#told = new Map(Object.entries(kept?.told ?? {}));
    this.#waitsForMs = kept?.waitsForMs;
    this.#isChanged = false;
    this.#recount();
  }

  /** What is to be kept, if it has changed since the last call. */
  take(waitsForMs: number | undefined): KeptTime | undefined {
    if (!this.#isChanged && waitsForMs === this.#waitsForMs) return undefined;
    this.#isChanged = false;
    this.#waitsForMs = waitsForMs;
    return {
      seen: Object.fromEntries(this.#seen),
      told: Object.fromEntries(this.#told),
      ...(waitsForMs !== undefined && { waitsForMs }),
    };
  }

  #recount(): void {
    let least = Infinity;
    for (const upstream of this.#upstream) {
      least = Math.min(least, this.#seen.get(upstream) ?? -Infinity);
    }
    this.#watermarkMs = least;
  }
}
