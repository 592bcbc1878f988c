type Hold = Readonly<{ at: Readonly<Record<string, number>> | 'now'; untilMs: number }>;

/** Decides where tasks must rest: before the first offset that any hold names, until its lease ends. */
export class Holds {
  readonly #holds = new Map<string, Hold>();

  /** A hold of the same id is replaced. */
  place(id: string, at: Hold['at'], untilMs: number): void {
    this.#holds.set(id, { at, untilMs });
  }

  release(id: string): void {
    this.#holds.delete(id);
  }

  /** Ends those whose lease is over at `nowMs`. */
  expire(nowMs: number): void {
    for (const [id, { untilMs }] of this.#holds) if (untilMs <= nowMs) this.#holds.delete(id);
  }

  /** When the next lease ends; undefined without a hold. */
  nextExpiryMs(): number | undefined {
    const ends = [...this.#holds.values()].map(({ untilMs }) => untilMs);
    return ends.length > 0 ? Math.min(...ends) : undefined;
  }

  /** The offset before which a partition (`topic-partition`) must stop; undefined: none. */
  stopAt(partition: string): number | undefined {
    const stops = [...this.#holds.values()].map((hold) => stopOf(hold, partition));
    return stops.length > 0 ? Math.min(...stops) : undefined;
  }

  /** The oldest hold that tasks at rest at these offsets (by `topic-partition`) have reached. */
  reached(offsets: ReadonlyMap<string, number>): string | undefined {
    for (const [id, hold] of this.#holds) {
      if ([...offsets].every(([partition, offset]) => offset >= stopOf(hold, partition))) return id;
    }
    return undefined;
  }
}

// A task that is past the offset, or not named, rests where it is.
function stopOf({ at }: Hold, partition: string): number {
  return at === 'now' ? 0 : (at[partition] ?? 0);
}
