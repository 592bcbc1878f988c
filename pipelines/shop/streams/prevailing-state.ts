import type { Stream, Windowed } from '../../../src/index.ts';
import type { Customer, CustomerKey } from '../tables.ts';
import type { Thresholds } from './thresholds.ts';
import { MINUTES } from './windows.ts';

/** The new customers of a minute, and where they come from. */
export type NewCustomers = Readonly<{
  count: number;
  byState: Readonly<Record<string, number>>;
  /** States that prevailed at some moment of the minute: each is told once. */
  told: readonly string[];
  /** That which prevails since the last customer, if it did not before. */
  prevails?: Readonly<{ state: string; since: number }>;
}>;

export function newCustomersByMinute(
  customers: Stream<CustomerKey, Customer>,
  thresholds: Thresholds,
): Stream<Windowed<string>, NewCustomers> {
  return customers
    .groupBy(() => 'all')
    .windowedBy(MINUTES)
    .aggregate<NewCustomers>(
      () => ({ count: 0, byState: {}, told: [] }),
      (minute, customer) => withCustomer(minute, customer, thresholds),
      { name: 'new-customers' },
    )
    .updates();
}

function withCustomer(
  minute: NewCustomers,
  { id, state }: Customer,
  { statePercent, newCustomers }: Thresholds,
): NewCustomers {
  const count = minute.count + 1;
  const byState =
    state === null
      ? minute.byState
      : { ...minute.byState, [state]: (minute.byState[state] ?? 0) + 1 };
  const { told } = minute;
  if (count <= newCustomers) return { count, byState, told };
  const prevailing = Object.keys(byState).find(
    (each) => 100 * (byState[each] ?? 0) > statePercent * count,
  );
  if (prevailing === undefined || told.includes(prevailing)) return { count, byState, told };
  return {
    count,
    byState,
    told: [...told, prevailing],
    prevails: { state: prevailing, since: id },
  };
}
