import type { Variables } from '../../../src/index.ts';

/** What is out of the ordinary: more than these. */
export type Thresholds = Readonly<{
  /** Amount of one order, exact. */
  highValueAmount: string;
  /** Orders of one customer a minute. */
  customerOrders: number;
  /** Orders of all customers a minute. */
  allOrders: number;
  /** Units of one product sold a minute. */
  productUnits: number;
  /** Of the new customers of a minute, in percent, those from one state … */
  statePercent: number;
  /** … once there are more new customers than so many. */
  newCustomers: number;
}>;

export function readThresholds(variables: Variables): Thresholds {
  return {
    highValueAmount: variables.decimal('SHOP_HIGH_VALUE_AMOUNT', '1000'),
    customerOrders: variables.integer('SHOP_BULK_CUSTOMER_ORDERS', 10),
    allOrders: variables.integer('SHOP_BULK_ALL_ORDERS', 1000),
    productUnits: variables.integer('SHOP_DEPLETION_UNITS', 50),
    // From 50 on it can only be one state at a time.
    statePercent: variables.number('SHOP_STATE_PERCENT', 80, { min: 50, max: 99.9 }),
    newCustomers: variables.integer('SHOP_STATE_NEW_CUSTOMERS', 5),
  };
}
