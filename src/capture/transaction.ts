import { formatLsn, lsnOf, type Lsn } from '../domain/lsn.ts';
import { MillraceError } from '../domain/errors.ts';
import type { Position } from '../domain/position.ts';
import type { Origin } from './envelope-encoder.ts';

/** More than can commit at once, and so be in the WAL but not visible yet. */
const RECENT_TRANSACTIONS = 1024;
/**
 * What commits so far apart has been visible for long: but for this, the id of an old transaction
 * would come to look like a future one. Two billion ids take far more WAL.
 */
const RECENT_WAL_BYTES = 1 << 30;

/**
 * Where in the stream of transactions decoding stands, and which messages are in the log already.
 *
 * After a restart the server sends again, whole, the transaction in which we stopped: its first
 * data messages, as many as the position counts, are skipped, and so are its first logical messages.
 * The counts are of messages before any filter, so that a changed filter does not shift them.
 */
export class TransactionTracker {
  #end: Lsn;
  #final: Lsn | undefined;
  #messages = 0;
  #skip = 0;
  #logical = 0;
  #skipLogical = 0;
  #resume: Position['transaction'];
  #previousCommit: number;
  #commitLsn = 0;
  #begun = 0;
  readonly #recentIds = new Float64Array(RECENT_TRANSACTIONS);
  readonly #recentLsns = new Float64Array(RECENT_TRANSACTIONS);
  origin: Origin = { timeUs: 0, txId: 0, previousCommit: null, snapshot: 'false' };

  constructor(end: Lsn, resume: Position['transaction']) {
    this.#end = end;
    this.#previousCommit = Number(end);
    this.#resume = resume;
  }

  get isOpen(): boolean {
    return this.#final !== undefined;
  }

  /** All commits that end at or before it are decoded. */
  get end(): Lsn {
    return this.#end;
  }

  /** What a batch that is cut now stores as the place within the transaction. */
  get place(): Position['transaction'] {
    if (this.#final === undefined || this.#skip === Number.POSITIVE_INFINITY) return this.#resume;
    const messages = Math.max(this.#messages, this.#skip);
    const logical = Math.max(this.#logical, this.#skipLogical);
    return { finalLsn: this.#final, messages, ...(logical > 0 && { logical }) };
  }

  begin(finalHigh: number, finalLow: number, timeUs: number, xid: number): void {
    const final = lsnOf(finalHigh, finalLow);
    this.#final = final;
    this.#messages = 0;
    this.#logical = 0;
    this.#skip = this.#skipOf(final);
    this.#skipLogical =
      this.#skip === Number.POSITIVE_INFINITY ? this.#skip : (this.#resume?.logical ?? 0);
    if (this.#skip !== Number.POSITIVE_INFINITY) this.#resume = undefined;
    this.#commitLsn = finalHigh * 4_294_967_296 + finalLow;
    const nth = this.#begun++ % RECENT_TRANSACTIONS;
    this.#recentIds[nth] = xid;
    this.#recentLsns[nth] = this.#commitLsn;
    this.origin = { timeUs, txId: xid, previousCommit: this.#previousCommit, snapshot: 'false' };
  }

  /** Ids of the transactions that came last: a snapshot taken now may not see them yet. */
  recent(): number[] {
    const oldest = this.#commitLsn - RECENT_WAL_BYTES;
    return [...this.#recentIds.subarray(0, this.#begun)].filter(
      (_, nth) => (this.#recentLsns[nth] as number) >= oldest,
    );
  }

  /** Counts a data message; false when the log holds its records already. */
  next(): boolean {
    this.#messages += 1;
    return this.#messages > this.#skip;
  }

  /** Counts a logical message of the transaction; false when the log holds it already. */
  nextLogical(): boolean {
    this.#logical += 1;
    return this.#logical > this.#skipLogical;
  }

  /**
   * A logical message of no transaction, whose record ends at `end`; false when the log holds it
   * already. As of commits, the server sends those that begin at or after the position. It has no
   * time of its own, and stands for a commit in what follows, as in Debezium.
   */
  alone(end: Lsn): boolean {
    if (end <= this.#end) return false;
    this.#end = end;
    this.#previousCommit = Number(end);
    this.origin = { ...this.origin, txId: null, previousCommit: this.#previousCommit };
    return true;
  }

  commit(end: Lsn): void {
    if (end > this.#end) this.#end = end;
    this.#final = undefined;
    this.#skip = 0;
    this.#skipLogical = 0;
    this.#previousCommit = Number(end);
  }

  /** The server says that it has sent all before `walEnd`. Inside a transaction that says nothing. */
  keepalive(walEnd: Lsn): boolean {
    if (this.isOpen || this.#resume !== undefined || walEnd <= this.#end) return false;
    this.#end = walEnd;
    return true;
  }

  #skipOf(final: Lsn): number {
    if (final < this.#end) return Number.POSITIVE_INFINITY;
    if (this.#resume === undefined) return 0;
    if (final === this.#resume.finalLsn) return this.#resume.messages;
    throw new MillraceError('log_behind_slot', {
      expected: `the transaction that commits at ${formatLsn(this.#resume.finalLsn)}, of which the log holds a part`,
      found: `one that commits at ${formatLsn(final)}`,
    });
  }
}
