import { orders } from '../../pipelines/shop/tables.ts';
import { topology, tumbling } from '../../src/index.ts';

type Orders = Readonly<{ orders: number; cents: number }>;

/** Orders and revenue of each customer in each minute. */
export const perCustomer = topology('envelopes', {}, ({ created }) => {
  created(orders)
    .groupBy(({ customer_id }) => customer_id)
    .windowedBy(tumbling({ sizeMs: 60_000, graceMs: 10_000 }))
    .aggregate<Orders>(
      () => ({ orders: 0, cents: 0 }),
      (sum, { total_amount }) => ({
        orders: sum.orders + 1,
        cents: sum.cents + Math.round(Number(total_amount) * 100),
      }),
    )
    .final()
    .map((sum, { key: customer, startMs }) => ({ customer, minute: startMs, ...sum }))
    .to('envelopes-per-minute', { key: () => null });
});
