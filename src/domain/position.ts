import { formatLsn, parseLsn, type Lsn } from './lsn.ts';

/** A place in the order of a key: what that order depends on, and a row's values as text, in key order. */
export type KeyPlace = Readonly<{ order: readonly string[]; values: readonly string[] }>;

/** A table that is still to be copied, or is being copied. */
export type CopyTask = Readonly<{
  oid: number;
  schema: string;
  name: string;
  /** Key of the last row that is in the log; absent before the first row, and without a key. */
  after?: KeyPlace;
}>;

/**
 * What of a transaction is in the log: its first data messages, and, counted apart, its first
 * logical messages, which older versions did not ask the server for.
 */
export type TransactionPlace = Readonly<{ finalLsn: Lsn; messages: number; logical?: number }>;

/**
 * How far capture has come, stored in the same append as the records.
 *
 * `end` is the end LSN of the last commit whose changes are all in the log (or of a logical message of
 * no transaction, or of WAL known to hold none). Inside a transaction, `transaction` counts what is in the
 * log, before any filter: relation messages vary from session to session, and several changes share an LSN.
 */
export type Position = Readonly<{
  systemId: string;
  timeline: number;
  slot: string;
  /** Undefined between the intent to create the slot and its creation. */
  end: Lsn | undefined;
  transaction?: TransactionPlace | undefined;
  /** What is left to copy, in this order; absent when there is nothing. */
  copy?: readonly CopyTask[] | undefined;
}>;

export function formatPosition(position: Position): string {
  const { systemId, timeline, slot, end, transaction, copy } = position;
  return JSON.stringify({
    systemId,
    timeline,
    slot,
    ...(end !== undefined && { end: formatLsn(end) }),
    ...(transaction && {
      transaction: {
        ...transaction,
        finalLsn: formatLsn(transaction.finalLsn),
      },
    }),
    ...(copy && copy.length > 0 && { copy }),
  });
}

/** Trusts its input: positions are written by `formatPosition` alone, under the log's own checks. */
export function parsePosition(text: string): Position {
  const { end, transaction, ...rest } = JSON.parse(text) as Omit<
    Position,
    'end' | 'transaction'
  > & { end?: string; transaction?: Omit<TransactionPlace, 'finalLsn'> & { finalLsn: string } };
  return {
    ...rest,
    end: end === undefined ? undefined : parseLsn(end),
    ...(transaction && {
      transaction: { ...transaction, finalLsn: parseLsn(transaction.finalLsn) },
    }),
  };
}
