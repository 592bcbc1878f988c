import { setTimeout as wait } from 'node:timers/promises';
import { PostgresClient, type TextQuery } from '../../../src/adapters/postgres/client.ts';
import { must } from '../../../src/lib/must.ts';
import { isExpected, type WorkloadOptions } from '../../crash/workload.ts';
import { seededRandom } from '../../random.ts';

const RECONNECT_MS = 25;
const PAUSE_MS = 80;

type Random = (below: number) => number;
type Step = (query: TextQuery, random: Random) => Promise<unknown>;

/** Orders that are the churn's own, of all customers; the shop's generator leaves what it finds gone. */
const OWN = `shipping_address = 'churn'`;
const OWN_ORDERS = `select id from orders where ${OWN}`;

const placeOrder: Step = (query, random) =>
  query(
    `with placed as (
       insert into orders (customer_id, total_amount, shipping_address)
       select id, ${random(100_000) / 100}, 'churn' from customers where id = ${1 + random(3)}
       returning id),
     sold as (
       insert into order_items (order_id, product_id, quantity, unit_price)
       select placed.id, products.id, ${1 + random(9)}, price from placed, products
        where products.id <= ${1 + random(5)})
     insert into outbox
     select gen_random_uuid(), 'order', id, 'OrderCreated', '{"by": "churn"}' from placed`,
  );
const changeAmounts: Step = (query, random) =>
  query(`update orders set total_amount = ${random(100_000) / 100}
          where ${OWN} and id % 7 = ${random(7)}`);
const changeQuantities: Step = (query, random) =>
  query(`update order_items set quantity = quantity + 1
          where order_id in (${OWN_ORDERS}) and id % 11 = ${random(11)}`);
const moveToAnotherCustomer: Step = (query, random) =>
  query(`update orders set customer_id = customers.id from customers
          where customers.id = ${1 + random(3)} and ${OWN} and orders.id % 5 = ${random(5)}`);
const moveToAnotherProduct: Step = (query, random) =>
  query(`update order_items set product_id = ${1 + random(5)}
          where order_id in (${OWN_ORDERS}) and id % 13 = ${random(13)}`);
const changeKeys: Step = (query, random) =>
  query(`update order_items set id = nextval('order_items_id_seq')
          where order_id in (${OWN_ORDERS}) and id % 17 = ${random(17)}`);
const deleteOrder: Step = async (query, random) => {
  const [row] = await query(
    `select id from orders where ${OWN} order by id desc offset ${random(20)} limit 1`,
  );
  if (row === undefined) return;
  await query('delete from order_items where order_id = $1', [row['id']]);
  await query('delete from orders where id = $1', [row['id']]);
};
/** A row whose whole life is one transaction, under two keys. */
const liveAndDie: Step = async (query, random) => {
  const [row] = await query(
    `insert into customers (first_name, last_name, email)
     values ('A', 'B', $1) returning id`,
    [`churn-${random(1e9)}@example.com`],
  );
  const id = must(row?.['id'], 'it was inserted');
  await query(`update customers set id = -id, phone = '1' where id = $1`, [id]);
  await query('delete from customers where id = -$1::int', [id]);
};
const rollBackASavepoint: Step = async (query, random) => {
  await query('savepoint s');
  await placeOrder(query, random);
  await changeAmounts(query, random);
  await query('rollback to savepoint s');
};

const STEPS: readonly Step[] = [
  placeOrder,
  placeOrder,
  changeAmounts,
  changeQuantities,
  moveToAnotherCustomer,
  moveToAnotherProduct,
  changeKeys,
  deleteOrder,
  liveAndDie,
  rollBackASavepoint,
];

/**
 * Does to the shop's tables what its generator does not: deletes, changed keys, rows that move to
 * another customer or product, transactions of several steps, some rolled back. Goes on until
 * `signal` aborts; a lost connection is made anew.
 */
export async function churn({ seed, facts }: WorkloadOptions, signal: AbortSignal): Promise<void> {
  const next = seededRandom(seed);
  const random: Random = (below) => Math.floor(next() * below);
  while (!signal.aborted) {
    try {
      await using client = await PostgresClient.connect(await facts());
      while (!signal.aborted && client.isOpen) {
        await client.transaction(async (query) => {
          for (let left = 1 + random(4); left > 0; left -= 1)
            await must(STEPS[random(STEPS.length)], 'below their number')(query, random);
        });
        await wait(PAUSE_MS);
      }
    } catch (error) {
      if (!isExpected(error)) throw error;
      await wait(RECONNECT_MS);
    }
  }
}
