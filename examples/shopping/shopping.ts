import { postgresTable, session, topology } from '../../src/index.ts';
import { orderItems, orders } from '../../pipelines/shop/tables.ts';

const key = ['customer_id', 'began_at'];
const warehouse = postgresTable({ url: '${env:WAREHOUSE_URL}', table: 'analytics.sprees', key });

/** What each customer bought in one go: orders that follow each other within half an hour. */
export const shopping = topology('shopping', { version: '1' }, ({ created }) => {
  const placed = created(orders).selectKey(({ id }) => id);
  const items = created(orderItems).selectKey(({ order_id }) => order_id ?? 0);
  const close = { withinMs: 60_000, graceMs: 10_000 };
  placed
    .join(items, (order, item) => ({ customer: order.customer_id, units: item.quantity }), close)
    .groupBy(({ customer }) => customer)
    .windowedBy(session({ gapMs: 30 * 60_000, graceMs: 10_000 }))
    .reduce((a, b) => ({ ...a, units: a.units + b.units }))
    .final()
    .map(({ units }, { key, startMs }) => ({
      customer_id: key,
      began_at: new Date(startMs),
      units,
    }))
    .sink(warehouse, { name: 'warehouse' });
});
