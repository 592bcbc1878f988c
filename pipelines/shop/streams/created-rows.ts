import type { Sources, Stream } from '../../../src/index.ts';
import {
  type Customer,
  type CustomerKey,
  customers,
  type Order,
  type OrderItem,
  type OrderItemKey,
  orderItems,
  type OrderKey,
  orders,
  type Product,
  type ProductKey,
  products,
} from '../tables.ts';
import { isoTime, MINUTES } from './windows.ts';

/** What was created, table by table, as it came while its minute was open. */
export type CreatedRows = Readonly<{
  customers: Stream<CustomerKey, Customer>;
  products: Stream<ProductKey, Product>;
  orders: Stream<OrderKey, Order>;
  orderItems: Stream<OrderItemKey, OrderItem>;
}>;

/** Rows that come later are in no figure and raise no alert: they are counted, and written to `lateTopic`. */
export function createdRows({ created }: Sources, lateTopic: string): CreatedRows {
  const onTime = <K, R>(table: string, rows: Stream<K, R>): Stream<K, R> => {
    const parted = rows.byLateness(MINUTES);
    parted.late.map((row, _, timeMs) => ({ table, timestamp: isoTime(timeMs), row })).to(lateTopic);
    return parted.onTime;
  };
  return {
    customers: onTime('customers', created(customers)),
    products: onTime('products', created(products)),
    orders: onTime('orders', created(orders)),
    orderItems: onTime('order_items', created(orderItems)),
  };
}
