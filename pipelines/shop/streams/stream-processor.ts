import { type Topology, topology } from '../../../src/index.ts';
import { anomalies, unitsSold } from './anomalies.ts';
import { createdRows } from './created-rows.ts';
import { serveDayFigures } from './day-figures.ts';
import { serveMinuteFigures } from './minute-figures.ts';
import type { Thresholds } from './thresholds.ts';
import { DAY_MS, isoTime, MINUTE_MS } from './windows.ts';

/** Alerts, keyed by type. */
export const ALERT_TOPIC = 'realtime-alerts';
/** The figures of each minute, once they are final, keyed by the minute's start. */
export const METRICS_TOPIC = 'realtime-metrics';

const NAME = 'stream-processor';

/** Real-time figures and alerts of the shop, made of what is created in its tables. */
export function streamProcessor(thresholds: Thresholds): Topology {
  return topology(NAME, { version: '1' }, (sources) => {
    const rows = createdRows(sources, `${NAME}.late`);

    serveMinuteFigures(rows)
      .map(({ startMs, figures }) => ({
        minute: isoTime(startMs),
        orders: figures.orders_per_minute,
        revenue: figures.revenue_per_minute,
        customers: figures.customers_per_minute,
        avg_order_value: figures.avg_order_value,
      }))
      .to(METRICS_TOPIC, { key: ({ minute }) => minute });
    serveDayFigures(rows);

    const sold = unitsSold(rows, thresholds);
    sold.newest().serve({
      prefix: 'realtime:product:',
      name: 'velocity',
      entries: ({ sum }, { key, startMs }, timeMs) => [
        {
          key: `${key}:velocity`,
          value: { sales_per_minute: sum, window_start: isoTime(startMs) },
          expiresAtMs: timeMs + 5 * MINUTE_MS,
        },
      ],
    });

    const alerts = anomalies(rows, sold, thresholds);
    alerts.serve({ prefix: 'alerts:', name: 'alerts', expiresAfterMs: DAY_MS });
    alerts.to(ALERT_TOPIC, { key: ({ type }) => type });
  });
}
