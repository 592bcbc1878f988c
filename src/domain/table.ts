declare const KEY: unique symbol;
declare const ROW: unique symbol;

/**
 * A captured table, as processors name it: where its changes are, and what its rows and keys are as
 * JSON. The types exist for the compiler only. An interface, so that declaration files name it.
 */
export interface TableRef<K, Row> {
  readonly topic: string;
  /** The key's columns, in the order in which records' keys have them; empty: rows have no key. */
  readonly key: readonly string[];
  readonly [KEY]?: K;
  readonly [ROW]?: Row;
}

/**
 * Describes a captured table: `defineTable<OrderKey, Order>({ topic: 'dbserver1.public.orders', key:
 * ['id'] })`, as `millrace typegen` writes it. A table without a key has `null` for `K`.
 */
export function defineTable<K, Row>(
  table: Readonly<{ topic: string; key: readonly ColumnsOf<K>[] }>,
): TableRef<K, Row> {
  return table;
}

type ColumnsOf<K> = K extends object ? keyof K & string : never;
