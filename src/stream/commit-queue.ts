/** Commits one after the other; while one is under way the caller goes on to the next batch. */
export class CommitQueue {
  readonly #onFailure: () => void;
  #last: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  /** `onFailure` wakes a caller that is waiting for something else. */
  constructor(onFailure: () => void) {
    this.#onFailure = onFailure;
  }

  /** Starts `commit` once the one before has succeeded; throws if that failed. */
  async add(commit: () => Promise<void>): Promise<void> {
    await this.#last;
    this.check();
    this.#last = commit().catch((error: unknown) => {
      this.#failure = { error };
      this.#onFailure();
    });
  }

  /** Resolves once nothing is under way, whatever became of it. */
  settled(): Promise<void> {
    return this.#last;
  }

  /** Throws if a commit failed. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
