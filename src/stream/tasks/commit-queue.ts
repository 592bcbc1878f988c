/** What is in a commit. */
export type Share = Readonly<{ records: number; bytes: number }>;

const NOTHING: Share = { records: 0, bytes: 0 };

/**
 * Commits what is done, one commit after the other. While one is under way more is done, and all of
 * that goes into the next: so the busier the store, the larger the commits, and no record waits
 * for more than the commit before its own.
 */
export class CommitQueue {
  readonly #commit: (share: Share) => Promise<void>;
  readonly #onFailure: () => void;
  #underWay: Promise<void> | undefined;
  #pending: Share = NOTHING;
  #isInTheMiddle = false;
  #failure: { readonly error: unknown } | undefined;

  /**
   * `commit` takes, before it first waits, all that is done. `onFailure` wakes a caller that is
   * waiting for something else.
   */
  constructor(commit: (share: Share) => Promise<void>, onFailure: () => void) {
    this.#commit = commit;
    this.#onFailure = onFailure;
  }

  /** Waits until `more` may be done without the next commit growing beyond `limit`. Throws if a commit failed. */
  async room(more: Share, limit: Share): Promise<void> {
    const isFull = () =>
      this.#pending.records > 0 &&
      (this.#pending.records + more.records > limit.records ||
        this.#pending.bytes + more.bytes > limit.bytes);
    while (this.#underWay !== undefined && isFull()) await this.#underWay;
    this.check();
  }

  /** From here to `done`, what is done is not whole, and not committed. */
  begin(): void {
    this.#isInTheMiddle = true;
  }

  /** What was done is whole: it is committed now, or as soon as the commit under way has ended. */
  done(share: Share): void {
    this.#isInTheMiddle = false;
    this.#pending = {
      records: this.#pending.records + share.records,
      bytes: this.#pending.bytes + share.bytes,
    };
    this.#next();
  }

  /** Resolves once nothing is under way and all that is whole is committed, or a commit has failed. */
  async settled(): Promise<void> {
    while (this.#underWay !== undefined) await this.#underWay;
  }

  /** Throws if a commit failed. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #next(): void {
    const isDue = this.#pending.records > 0 && !this.#isInTheMiddle;
    if (!isDue || this.#underWay !== undefined || this.#failure !== undefined) return;
    const share = this.#pending;
    this.#pending = NOTHING;
    this.#underWay = this.#run(share);
  }

  async #run(share: Share): Promise<void> {
    try {
      await this.#commit(share);
    } catch (error) {
      this.#failure = { error };
      this.#onFailure();
    } finally {
      this.#underWay = undefined;
    }
    this.#next();
  }
}
