import type { Operation, Row } from '../../src/domain/envelope.ts';
import { blocksOf } from '../../src/domain/record-block.ts';
import { must } from '../../src/lib/must.ts';
import type { EventLog } from '../../src/ports/event-log.ts';
import type { Store } from '../../src/ports/store.ts';

/** Numbers in [0, 1). */
type Random = () => number;
type Table = 'customers' | 'orders' | 'order_items' | 'products';

const topicOf = (table: string): string => `dbserver1.public.${table}`;

/** The rows of a shop as they are, and the change events that led there: a source without a server. */
export class ShopRows {
  readonly #log: EventLog;
  readonly #random: Random;
  readonly #rows: Record<Table, Map<number, Row>> = {
    customers: new Map(),
    orders: new Map(),
    order_items: new Map(),
    products: new Map(),
  };
  #lastId = 0;

  constructor(log: EventLog, random: Random) {
    this.#log = log;
    this.#random = random;
  }

  /** Appends so many random changes, all tables in one append. */
  async change(changes: number): Promise<void> {
    const events = Array.from({ length: changes }, () => this.#changeOne());
    await this.#append(events);
  }

  /** As a copy of the table that runs beside the stream does. */
  async copy(topic: string): Promise<void> {
    const table = must(topic.split('.').at(-1), 'the last part is the table') as Table;
    await this.#append(
      [...this.#rows[table].values()].map((after) => ({ table, op: 'r', before: null, after })),
    );
  }

  /** What the store must serve: sums in hundredths, units, orders by customer. */
  figures(): Figures {
    const sold: Record<string, number> = {};
    for (const { product_id: of, quantity } of this.#rows.order_items.values()) {
      sold[String(of)] = (sold[String(of)] ?? 0) + Number(quantity);
    }
    const orders: Record<string, string[]> = {};
    let revenue = 0;
    for (const { id, customer_id: of, total_amount: amount } of this.#rows.orders.values()) {
      revenue += hundredths(String(amount));
      (orders[String(of)] ??= []).push(String(id));
    }
    return { revenue, sold, orders: sorted(orders) };
  }

  #changeOne(): Event {
    const table = this.#pick(['customers', 'orders', 'orders', 'order_items', 'products'] as const);
    const rows = this.#rows[table];
    const chance = this.#random();
    if (rows.size === 0 || chance < 0.5) {
      const after = this.#newRow(table, ++this.#lastId);
      rows.set(this.#lastId, after);
      return { table, op: 'c', before: null, after };
    }
    const id = this.#pick([...rows.keys()]);
    const before = must(rows.get(id), 'it was picked');
    if (chance < 0.6) {
      rows.delete(id);
      return { table, op: 'd', before, after: null };
    }
    const after = this.#newRow(table, id);
    rows.set(id, after);
    return { table, op: 'u', before, after };
  }

  #newRow(table: Table, id: number): Row {
    const number = (below: number) => Math.floor(this.#random() * below);
    switch (table) {
      case 'customers':
        return { id, first_name: `name ${number(100)}` };
      case 'products':
        return { id, stock_quantity: number(40) };
      case 'orders':
        return { id, customer_id: number(9), total_amount: `${number(900)}.${10 + number(90)}` };
      case 'order_items':
        return { id, product_id: number(7), quantity: 1 + number(3) };
    }
  }

  async #append(events: readonly Event[]): Promise<void> {
    const nowMs = Date.now();
    const records = events.map(({ table, op, before, after }) => {
      const source = { schema: 'public', table, ts_ms: nowMs, txId: 1, lsn: 1, snapshot: 'false' };
      const key = Buffer.from(JSON.stringify({ id: (after ?? before)?.['id'] }));
      const value = Buffer.from(JSON.stringify({ op, before, after, source }));
      const record = { timestampMs: nowMs, key, value, headers: [] };
      return { topic: topicOf(table), partition: 0, record };
    });
    const producer = await this.#log.openProducer('shop');
    await producer.append(blocksOf(records));
    await producer.close();
  }

  #pick<T>(of: readonly T[]): T {
    return must(of[Math.floor(this.#random() * of.length)], 'it is within the list');
  }
}

type Event = Readonly<{ table: Table; op: Operation; before: Row | null; after: Row | null }>;

export type Figures = Readonly<{
  revenue: number;
  sold: Readonly<Record<string, number>>;
  orders: Readonly<Record<string, readonly string[]>>;
}>;

/** What the store serves, in the terms of `ShopRows.figures`. */
export async function servedFigures(store: Store): Promise<Figures> {
  const text = async (key: string): Promise<string> => {
    const found = await store.get(key, 0);
    return found?.type === 'string' ? found.value : '0';
  };
  const sold: Record<string, number> = {};
  for await (const key of store.keys('metrics:product:', 0)) {
    const units = Number(await text(key));
    if (units !== 0) sold[must(key.split(':')[2], 'as the key is made')] = units;
  }
  const orders: Record<string, readonly string[]> = {};
  for await (const key of store.keys('customer:', 0)) {
    const found = key.endsWith(':orders') ? await store.get(key, 0) : undefined;
    if (found?.type !== 'set') continue;
    orders[must(key.split(':')[1], 'as the key is made')] = found.members;
  }
  const revenue = hundredths(await text('metrics:revenue:total'));
  return { revenue, sold, orders: sorted(orders) };
}

function hundredths(amount: string): number {
  return Math.round(Number(amount) * 100);
}

function sorted(lists: Readonly<Record<string, readonly string[]>>): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(lists).map(([name, members]) => [name, members.toSorted()]),
  );
}
