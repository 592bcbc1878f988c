import Big from 'big.js';
import type { ServedEntry, Stream } from '../../../src/index.ts';
import type { RowTable } from '../row-tables.ts';
import type { CreatedRows } from './created-rows.ts';
import { HOUR_MS, isoTime, MINUTE_MS, MINUTES } from './windows.ts';

/** What the shop did in a minute. Amounts are exact decimals. */
export type MinuteFigures = Readonly<{
  orders_per_minute: number;
  revenue_per_minute: string;
  /** New customers. */
  customers_per_minute: number;
  /** Rounded to cents, half up. */
  avg_order_value: string;
  /** Records by table that the minute has taken and that are in flight, as it is open; then none. */
  buffer_sizes: Readonly<Record<RowTable, number>>;
}>;

/** One created row, as far as a minute counts it. */
type Counted = Readonly<{ table: RowTable; amount?: string }>;
type Minute = Readonly<{ records: Record<RowTable, number>; revenue: string }>;
type MinuteAt = Readonly<{ startMs: number; figures: MinuteFigures }>;
/** The figures that changed last, and the newest minute there is. */
type LastChange = Partial<MinuteAt> & Readonly<{ newestMs: number }>;

const NONE = { customers: 0, products: 0, orders: 0, order_items: 0 } as const;
const LATEST_LIFE_MS = 5 * MINUTE_MS;

/** Serves `realtime:metrics:…`; gives each minute's figures once, when they are final. */
export function serveMinuteFigures(rows: CreatedRows): Stream<unknown, MinuteAt> {
  const minutes = counted(rows)
    .groupBy(() => 'shop')
    .windowedBy(MINUTES)
    .aggregate<Minute>(() => ({ records: NONE, revenue: '0' }), withRow, { name: 'minutes' });
  const open = minutes.updates().map((minute, { startMs }) => ({
    startMs,
    figures: figuresOf(minute, minute.records),
  }));
  const closed = minutes.final().map((minute, { startMs }) => ({
    startMs,
    figures: figuresOf(minute, NONE),
  }));
  open
    .merge(closed)
    .groupBy(() => 'shop')
    .aggregate<LastChange>(() => ({ newestMs: 0 }), lastChange, { name: 'latest-minute' })
    .changes()
    .serve({
      prefix: 'realtime:metrics:',
      name: 'metrics',
      entries: ({ after }, _, timeMs) => (after === undefined ? [] : entriesOf(after, timeMs)),
    });
  return closed;
}

function counted({ customers, products, orders, orderItems }: CreatedRows) {
  const of = <K, R>(table: RowTable, stream: Stream<K, R>): Stream<K, Counted> =>
    stream.map(() => ({ table }));
  return orders
    .map(({ total_amount }): Counted => ({ table: 'orders', amount: total_amount }))
    .merge(of('order_items', orderItems))
    .merge(of('customers', customers))
    .merge(of('products', products));
}

function withRow({ records, revenue }: Minute, { table, amount }: Counted): Minute {
  return {
    records: { ...records, [table]: records[table] + 1 },
    revenue: amount === undefined ? revenue : new Big(revenue).plus(amount).toFixed(),
  };
}

function figuresOf({ records, revenue }: Minute, inFlight: Minute['records']): MinuteFigures {
  const average = records.orders === 0 ? new Big(0) : new Big(revenue).div(records.orders);
  return {
    orders_per_minute: records.orders,
    revenue_per_minute: new Big(revenue).toFixed(2),
    customers_per_minute: records.customers,
    avg_order_value: average.toFixed(2, Big.roundHalfUp),
    buffer_sizes: inFlight,
  };
}

function lastChange({ newestMs }: LastChange, minute: MinuteAt): LastChange {
  return { ...minute, newestMs: Math.max(newestMs, minute.startMs) };
}

function entriesOf({ startMs, figures, newestMs }: LastChange, timeMs: number): ServedEntry[] {
  if (startMs === undefined) return [];
  const minute = { key: nameOf(startMs), value: figures, expiresAtMs: timeMs + HOUR_MS };
  if (startMs < newestMs) return [minute];
  return [minute, { key: 'latest', value: figures, expiresAtMs: timeMs + LATEST_LIFE_MS }];
}

/** `YYYYMMDD_HHMM` */
function nameOf(startMs: number): string {
  const [date = '', time = ''] = isoTime(startMs).split('T');
  return `${date.replaceAll('-', '')}_${time.slice(0, 5).replace(':', '')}`;
}
