/** The tables whose rows the shop caches and counts; the outbox is only counted. */
export const ROW_TABLES = ['customers', 'products', 'orders', 'order_items'] as const;
export type RowTable = (typeof ROW_TABLES)[number];

/** Topics of the shop's five tables, as `connector.json` makes the connector name them. */
export const TOPICS = [...ROW_TABLES, 'outbox'].map((table) => `dbserver1.public.${table}`);

export function isRowTable(table: string): table is RowTable {
  return ROW_TABLES.some((each) => each === table);
}
