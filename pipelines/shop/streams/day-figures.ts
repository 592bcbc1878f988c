import type { Stream } from '../../../src/index.ts';
import type { Order } from '../tables.ts';
import type { CreatedRows } from './created-rows.ts';
import { DAY_MS, DAYS, isoTime } from './windows.ts';

/** What a customer has ordered on a day. */
type Activity = Readonly<{ lastMs: number; lastAmount: string; orders: number }>;
type OrderOfCustomer = Order & Readonly<{ customer_id: number }>;

/** Serves what counts by the day: new customers by state, new products by category, orders by customer. */
export function serveDayFigures({ customers, products, orders }: CreatedRows): void {
  serveCount(customers, 'new-by-state', 'realtime:geo:customers:', ({ state }) => state);
  serveCount(products, 'new-by-category', 'realtime:categories:', ({ category }) => category);
  orders
    .filter((order): order is OrderOfCustomer => order.customer_id !== null)
    .groupBy(({ customer_id }) => customer_id)
    .windowedBy(DAYS)
    .aggregate<Activity>(() => ({ lastMs: 0, lastAmount: '0', orders: 0 }), withOrder, {
      name: 'activity',
    })
    .newest()
    .serve({
      prefix: 'realtime:customer:',
      name: 'customer-activity',
      entries: ({ lastMs, lastAmount, orders: count }, { key }) => [
        {
          key: `${key}:activity`,
          value: {
            last_order_time: isoTime(lastMs),
            last_order_amount: lastAmount,
            order_count_today: count,
          },
          expiresAtMs: lastMs + DAY_MS,
        },
      ],
    });
}

/** A count that goes with the day. */
function serveCount<K, R>(
  rows: Stream<K, R>,
  name: string,
  prefix: string,
  nameOf: (row: R) => string | null,
): void {
  rows
    .groupBy((row) => nameOf(row) ?? 'unknown')
    .windowedBy(DAYS)
    .count({ name })
    .newest()
    .serve({
      prefix,
      entries: (count, { key, endMs }) => [{ key, value: count, expiresAtMs: endMs }],
    });
}

function withOrder(activity: Activity, { total_amount }: Order, _: number, timeMs: number) {
  const isLast = timeMs >= activity.lastMs;
  return {
    lastMs: isLast ? timeMs : activity.lastMs,
    lastAmount: isLast ? total_amount : activity.lastAmount,
    orders: activity.orders + 1,
  };
}
