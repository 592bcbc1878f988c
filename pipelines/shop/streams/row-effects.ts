import Big from 'big.js';
import type { Row, ServedWrite } from '../../../src/index.ts';
import type { RowTable } from '../row-tables.ts';

const HOUR_MS = 3_600_000;
const ALERT_LIFE_MS = 30 * 60_000;
/** Stock below it is low. */
const LOW_STOCK = 10;

/** A row as it was last seen and as it is now; undefined where it does not exist. */
type RowPair = Readonly<{
  id: string;
  old: Row | undefined;
  new: Row | undefined;
  /** The new row as JSON. */
  text: string | undefined;
  /** Commit time, where the life of keys begins. */
  atMs: number;
}>;

/**
 * What a row's way from `old` to `new` does to the served keys. Sums and sets change by the
 * difference alone, so that a row seen again changes nothing.
 */
export const ROW_EFFECTS: Record<RowTable, (pair: RowPair) => ServedWrite[]> = {
  customers: (pair) => [cached('customer', 2 * HOUR_MS, pair)],
  products: (pair) => [cached('product', HOUR_MS, pair), ...stockAlert(pair)],
  orders: (pair) => [
    cached('order', HOUR_MS, pair),
    ...difference('metrics:revenue:total', amountOf(pair.old), amountOf(pair.new)),
    ...ordersOfCustomer(pair),
  ],
  order_items: unitsSold,
};

function cached(prefix: string, lifeMs: number, { id, text, atMs }: RowPair): ServedWrite {
  const key = `${prefix}:${id}`;
  if (text === undefined) return { op: 'delete', key };
  return { op: 'put', key, value: text, expiresAtMs: atMs + lifeMs };
}

/** While stock is low each change of the product renews the alert, so that its stock is current. */
function stockAlert({ id, old, new: row, atMs }: RowPair): ServedWrite[] {
  const key = `alert:low_stock:${id}`;
  if (row !== undefined && isLow(row)) {
    const value = JSON.stringify({
      product_id: row['id'],
      current_stock: row['stock_quantity'],
      alert_time: new Date(atMs).toISOString(),
    });
    return [{ op: 'put', key, value, expiresAtMs: atMs + ALERT_LIFE_MS }];
  }
  return old !== undefined && isLow(old) ? [{ op: 'delete', key }] : [];
}

function isLow({ stock_quantity: stock }: Row): boolean {
  return typeof stock === 'number' && stock < LOW_STOCK;
}

function ordersOfCustomer({ id, old, new: row }: RowPair): ServedWrite[] {
  const from = idIn(old, 'customer_id');
  const to = idIn(row, 'customer_id');
  if (from === to) return [];
  const writes: ServedWrite[] = [];
  if (from !== undefined)
    writes.push({ op: 'setRemove', key: `customer:${from}:orders`, member: id });
  if (to !== undefined) writes.push({ op: 'setAdd', key: `customer:${to}:orders`, member: id });
  return writes;
}

function unitsSold({ old, new: row }: RowPair): ServedWrite[] {
  const from = idIn(old, 'product_id');
  const to = idIn(row, 'product_id');
  if (from === to)
    return to === undefined ? [] : difference(soldKey(to), unitsOf(old), unitsOf(row));
  return [
    ...(from === undefined ? [] : difference(soldKey(from), unitsOf(old), '0')),
    ...(to === undefined ? [] : difference(soldKey(to), '0', unitsOf(row))),
  ];
}

function soldKey(productId: string): string {
  return `metrics:product:${productId}:sold`;
}

function difference(key: string, from: string, to: string): ServedWrite[] {
  if (from === to) return [];
  const amount = new Big(to).minus(from);
  return amount.eq(0) ? [] : [{ op: 'add', key, amount: amount.toFixed() }];
}

function amountOf(row: Row | undefined): string {
  return exact(row?.['total_amount']);
}

function unitsOf(row: Row | undefined): string {
  return exact(row?.['quantity']);
}

/** Decimals come as strings; a number would already have lost digits, unless it is whole. */
function exact(value: unknown): string {
  if (value === null || value === undefined) return '0';
  if (typeof value === 'string') return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  throw new TypeError(
    `an amount must be a decimal string (decimal.handling.mode=string), found ${JSON.stringify(value)}`,
  );
}

function idIn(row: Row | undefined, column: string): string | undefined {
  const value = row?.[column];
  return typeof value === 'number' ? String(value) : undefined;
}
