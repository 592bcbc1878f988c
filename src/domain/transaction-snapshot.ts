/**
 * Which transactions a database snapshot sees, from the text of `pg_current_snapshot()`:
 * `xmin:xmax:xip,…`, 64-bit transaction ids. Change events carry the lower 32 bits, as the
 * protocol does; they are taken as the nearest id to xmax, which is right within two billion transactions.
 * https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT-PARTS
 */
export class TransactionSnapshot {
  readonly #xmin: number;
  readonly #xmax: number;
  readonly #running: ReadonlySet<number>;

  constructor(text: string) {
    const [, xmin, xmax, running] = /^(\d+):(\d+):([\d,]*)$/.exec(text) ?? [];
    if (xmin === undefined || xmax === undefined)
      throw new SyntaxError(`not a snapshot: "${text}"`);
    this.#xmin = Number(xmin);
    this.#xmax = Number(xmax);
    this.#running = new Set(running === '' ? [] : running?.split(',').map(Number));
  }

  /** True when the committed transaction of this 32-bit id is visible. */
  sees(xid: number): boolean {
    const full = this.#widen(xid);
    return full < this.#xmin || (full < this.#xmax && !this.#running.has(full));
  }

  /** The lower 32 bits of xmax. */
  get xmax(): number {
    return this.#xmax % WRAP;
  }

  #widen(xid: number): number {
    const sameEpoch = this.#xmax - (this.#xmax % WRAP) + xid;
    if (sameEpoch > this.#xmax + WRAP / 2) return sameEpoch - WRAP;
    if (sameEpoch < this.#xmax - WRAP / 2) return sameEpoch + WRAP;
    return sameEpoch;
  }
}

const WRAP = 2 ** 32;
