import { definePipeline, defineTable, postgresTable, topology } from '../../../src/index.ts';

type Payment = Readonly<{ id: number; amount: string }>;

const payments = defineTable<{ id: number }, Payment>({
  topic: 'dbserver1.public.payments',
  key: ['id'],
});

const warehouse = postgresTable({
  url: '${env:WAREHOUSE_URL}',
  table: 'payments',
  key: ['id'],
  create: 'CREATE TABLE payments (id int PRIMARY KEY, amount int NOT NULL)',
});

const booking = topology('booking', { version: '1' }, ({ table }) => {
  table(payments).sink(warehouse, { name: 'warehouse' });
});

/** Keeps a table of another database at what a table of the source is. */
export const pipeline = definePipeline({
  name: 'warehouse',
  connector: '../connector.json',
  schema: 'CREATE TABLE IF NOT EXISTS payments (id int PRIMARY KEY, amount text)',
  processors: [booking],
});
