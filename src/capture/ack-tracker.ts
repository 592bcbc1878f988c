import type { Lsn } from '../domain/lsn.ts';

/**
 * Decides which position may be confirmed to PostgreSQL.
 *
 * PostgreSQL deletes the WAL that we confirm, so a position is safe only once it stands in the
 * log, together with all records before it. Positions never go back.
 */
export class AckTracker {
  #confirmed: Lsn;

  constructor(start: Lsn) {
    this.#confirmed = start;
  }

  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** Returns the position to confirm, or undefined when nothing new is safe. */
  durable(end: Lsn): Lsn | undefined {
    if (end <= this.#confirmed) return undefined;
    this.#confirmed = end;
    return end;
  }
}
