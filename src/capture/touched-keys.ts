import type { TransactionSnapshot } from '../domain/transaction-snapshot.ts';

/** Keys held at most, of all tables together. */
const MAX_KEYS = 200_000;

/** What is known of the changes of one table that no snapshot has seen yet. */
type Touched = {
  /** By key, the transaction that changed it last. */
  readonly keys: Map<string, number>;
  /** The last transaction that truncated the table. */
  truncatedBy: number | undefined;
  /** Transactions of which not every key is known. */
  readonly forgotten: Set<number>;
};

/**
 * Remembers which rows the stream has told that a snapshot may not have seen, so that a copied row
 * does not come after a newer one.
 *
 * What one snapshot sees, later ones see too: so only what is newer than the last snapshot is kept.
 * Memory is bounded: of transactions that change too many rows only the ids are kept, and what a
 * snapshot without them has read must be read again.
 */
export class TouchedKeys {
  readonly #maxKeys: number;
  readonly #tables = new Map<number, Touched>();
  #snapshot: TransactionSnapshot | undefined;
  #count = 0;

  constructor(maxKeys = MAX_KEYS) {
    this.#maxKeys = maxKeys;
  }

  get count(): number {
    return this.#count;
  }

  /** `key` undefined: all rows of the table. */
  touch(oid: number, key: string | undefined, xid: number): void {
    if (this.#snapshot?.sees(xid) === true) return;
    const touched = this.#of(oid);
    if (key === undefined) {
      touched.truncatedBy = xid;
      this.#clear(touched);
    } else if (!touched.forgotten.has(xid)) {
      if (!touched.keys.has(key)) this.#count += 1;
      touched.keys.set(key, xid);
      if (this.#count > this.#maxKeys) this.#forget();
    }
  }

  /** Of these transactions it is not known what they did to this table. */
  forget(oid: number, xids: readonly number[]): void {
    const unseen = xids.filter((xid) => isUnseen(xid, this.#snapshot));
    for (const xid of unseen) this.#of(oid).forgotten.add(xid);
  }

  /** From now on, only snapshots that see at least as much are asked about. */
  advance(snapshot: TransactionSnapshot): void {
    this.#snapshot = snapshot;
    for (const [oid, touched] of this.#tables) {
      for (const [key, xid] of touched.keys)
        if (snapshot.sees(xid) && touched.keys.delete(key)) this.#count -= 1;
      if (isSeen(touched.truncatedBy, snapshot)) touched.truncatedBy = undefined;
      for (const xid of touched.forgotten) if (snapshot.sees(xid)) touched.forgotten.delete(xid);
      if (touched.keys.size + touched.forgotten.size === 0 && touched.truncatedBy === undefined)
        this.#tables.delete(oid);
    }
  }

  /** False when `isNewer` is false for all rows of the table. */
  has(oid: number): boolean {
    return this.#tables.has(oid);
  }

  /** True when the stream has told of this row what the snapshot does not see. */
  isNewer(oid: number, key: string, snapshot: TransactionSnapshot): boolean {
    const touched = this.#tables.get(oid);
    if (touched === undefined) return false;
    return isUnseen(touched.truncatedBy, snapshot) || isUnseen(touched.keys.get(key), snapshot);
  }

  /** True when `isNewer` cannot tell: rows of this snapshot must be read again, in a later one. */
  isForgotten(oid: number, snapshot: TransactionSnapshot): boolean {
    const forgotten = this.#tables.get(oid)?.forgotten ?? [];
    return [...forgotten].some((xid) => !snapshot.sees(xid));
  }

  #of(oid: number): Touched {
    const known = this.#tables.get(oid);
    if (known !== undefined) return known;
    const touched: Touched = { keys: new Map(), truncatedBy: undefined, forgotten: new Set() };
    this.#tables.set(oid, touched);
    return touched;
  }

  #forget(): void {
    for (const touched of this.#tables.values()) {
      for (const xid of touched.keys.values()) touched.forgotten.add(xid);
      this.#clear(touched);
    }
  }

  #clear(touched: Touched): void {
    this.#count -= touched.keys.size;
    touched.keys.clear();
  }
}

function isSeen(xid: number | undefined, snapshot: TransactionSnapshot | undefined): boolean {
  return xid === undefined || snapshot?.sees(xid) === true;
}

function isUnseen(xid: number | undefined, snapshot: TransactionSnapshot | undefined): boolean {
  return !isSeen(xid, snapshot);
}
