import { postgresTable, topology } from '../../../src/index.ts';
import { orders } from '../tables.ts';
import { METRICS_TOPIC } from './stream-processor.ts';

/** Variable that holds the address of the warehouse; without it there is none. */
export const WAREHOUSE_URL = 'WAREHOUSE_URL';

const url = `\${env:${WAREHOUSE_URL}}`;

/** A minute's final figures, as the stream processor writes them. */
type MinuteRow = Readonly<{ minute: string }>;

const ORDERS = `CREATE SCHEMA IF NOT EXISTS analytics;
CREATE TABLE analytics.orders (
  id integer PRIMARY KEY,
  customer_id integer,
  order_date timestamp,
  total_amount numeric(10, 2) NOT NULL,
  status text,
  shipping_address text,
  created_at timestamp,
  updated_at timestamp
)`;

const MINUTE_FIGURES = `CREATE SCHEMA IF NOT EXISTS analytics;
CREATE TABLE analytics.minute_figures (
  minute timestamptz PRIMARY KEY,
  orders bigint NOT NULL,
  revenue numeric NOT NULL,
  customers bigint NOT NULL,
  avg_order_value numeric NOT NULL
)`;

/** Keeps a second database: the orders as they are, and what each minute brought. */
export const warehouse = topology('warehouse', {}, ({ table, topic }) => {
  table(orders).sink(
    postgresTable({ url, table: 'analytics.orders', key: ['id'], create: ORDERS }),
    { name: 'orders' },
  );
  topic<MinuteRow>(METRICS_TOPIC)
    .selectKey((_, minute) => ({ minute }))
    .sink(
      postgresTable({
        url,
        table: 'analytics.minute_figures',
        key: ['minute'],
        create: MINUTE_FIGURES,
      }),
      { name: 'minute-figures' },
    );
});
