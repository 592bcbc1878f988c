/** What a batch provokes beside its usual rows, so that each alert has something to tell. */
export type Anomalies = Readonly<{
  /** One order of the dearest products. */
  highValueOrder: boolean;
  /** Many orders of one customer. */
  bulkOrders: boolean;
  /** Many orders of one product. */
  stockDepletion: boolean;
  /** New customers from one state only. */
  oneState: boolean;
}>;

/**
 * Each kind comes in the first ten batches, then now and then. A burst is twice what an alert needs,
 * as it may fall on two sides of a minute's turn; one state prevails for a whole minute, as its
 * customers must be the first of a minute to be most of them.
 */
export function anomaliesOf(batch: number, intervalMs: number): Anomalies {
  const batchesAMinute = Math.max(6, Math.ceil(60_000 / Math.max(1000, intervalMs)));
  const turn = batch % (120 * batchesAMinute);
  return {
    oneState: turn >= 1 && turn <= batchesAMinute,
    highValueOrder: batch % 90 === 3,
    bulkOrders: batch % 360 === 7,
    stockDepletion: batch % 360 === 9,
  };
}

/** More than 10 orders of one customer in whichever minute holds more of them. */
export const BULK_ORDERS = 22;
/** More than 50 units, three an order. */
export const DEPLETION_ORDERS = 36;
