import Big from 'big.js';
import type { Stream, WindowedTable } from '../../../src/index.ts';
import type { Order, OrderItem } from '../tables.ts';
import { type Alert, type Cause, raise } from './alerts.ts';
import type { CreatedRows } from './created-rows.ts';
import { newCustomersByMinute } from './prevailing-state.ts';
import type { Thresholds } from './thresholds.ts';
import { watchedSum, type WatchedSum } from './watched-sum.ts';
import { isoTime } from './windows.ts';

type OrderOfCustomer = Order & Readonly<{ customer_id: number }>;

/** Units of each product sold in each minute. */
export type UnitsSold = WindowedTable<number, OrderItem, WatchedSum>;

export function unitsSold({ orderItems }: CreatedRows, { productUnits }: Thresholds): UnitsSold {
  const items = orderItems.filter(
    (item): item is OrderItem & Readonly<{ product_id: number }> => item.product_id !== null,
  );
  return watchedSum(
    items.groupBy(({ product_id }) => product_id),
    { name: 'units-sold', limit: productUnits, of: ({ quantity }) => quantity },
  );
}

/** Each anomaly once, at the moment at which its threshold is crossed. */
export function anomalies(
  rows: CreatedRows,
  sold: UnitsSold,
  thresholds: Thresholds,
): Stream<string, Alert> {
  return highValueOrders(rows, thresholds)
    .merge(bulkOrdersOfCustomer(rows, thresholds))
    .merge(bulkOrdersOfAll(rows, thresholds))
    .merge(stockDepletions(sold, thresholds))
    .merge(prevailingStates(rows, thresholds));
}

function highValueOrders(
  { orders }: CreatedRows,
  { highValueAmount }: Thresholds,
): Stream<string, Alert> {
  return raise(orders, 'high_value_order', ({ id, customer_id, total_amount }) =>
    new Big(total_amount).gt(highValueAmount)
      ? {
          data: { order_id: id, customer_id, amount: total_amount, threshold: highValueAmount },
          record: `${id}`,
        }
      : undefined,
  );
}

function bulkOrdersOfCustomer(
  { orders }: CreatedRows,
  { customerOrders: limit }: Thresholds,
): Stream<string, Alert> {
  const byCustomer = orders
    .filter((order): order is OrderOfCustomer => order.customer_id !== null)
    .groupBy(({ customer_id }) => customer_id);
  const sums = watchedSum(byCustomer, { name: 'orders-of-customer', limit }).updates();
  return raise(sums, 'bulk_orders_detected', (watched, { key, startMs }) =>
    crossing(watched, (order_id) => ({
      customer_id: key,
      orders: watched.sum,
      threshold: limit,
      window_start: isoTime(startMs),
      order_id,
    })),
  );
}

/** Its record has a name of its own, as the same order may be one too many of its customer, too. */
function bulkOrdersOfAll(
  { orders }: CreatedRows,
  { allOrders: limit }: Thresholds,
): Stream<string, Alert> {
  const all = orders.groupBy(() => 'all');
  const sums = watchedSum(all, { name: 'orders-of-all', limit }).updates();
  return raise(sums, 'bulk_orders_detected', (watched, { startMs }) => {
    const cause = crossing(watched, (order_id) => ({
      customer_id: null,
      orders: watched.sum,
      threshold: limit,
      window_start: isoTime(startMs),
      order_id,
    }));
    return cause && { ...cause, record: `${cause.record}-all` };
  });
}

function stockDepletions(
  sold: UnitsSold,
  { productUnits: threshold }: Thresholds,
): Stream<string, Alert> {
  return raise(sold.updates(), 'rapid_stock_depletion', (watched, { key, startMs }) =>
    crossing(watched, (order_item_id) => ({
      product_id: key,
      units: watched.sum,
      threshold,
      window_start: isoTime(startMs),
      order_item_id,
    })),
  );
}

function prevailingStates(
  { customers }: CreatedRows,
  thresholds: Thresholds,
): Stream<string, Alert> {
  const minutes = newCustomersByMinute(customers, thresholds);
  return raise(minutes, 'geographic_anomaly', ({ prevails, byState, count }, { startMs }) => {
    if (prevails === undefined) return undefined;
    const { state, since } = prevails;
    const data = {
      state,
      customers: byState[state],
      new_customers: count,
      threshold_percent: thresholds.statePercent,
      window_start: isoTime(startMs),
      customer_id: since,
    };
    return { data, record: `${since}` };
  });
}

function crossing(
  { crossedBy }: WatchedSum,
  dataOf: (id: number) => Cause['data'],
): Cause | undefined {
  return crossedBy === undefined ? undefined : { data: dataOf(crossedBy), record: `${crossedBy}` };
}
