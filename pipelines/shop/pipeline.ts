import { definePipeline, type Processors, type Variables } from '../../src/index.ts';
import { reconcile } from './reconcile.ts';
import { ALERT_WEBHOOK_URL, alertWebhook } from './streams/alert-webhook.ts';
import { cdcProcessor } from './streams/cdc-processor.ts';
import { outboxEvents } from './streams/outbox.ts';
import { streamProcessor } from './streams/stream-processor.ts';
import { readThresholds } from './streams/thresholds.ts';
import { warehouse, WAREHOUSE_URL } from './streams/warehouse.ts';

/** An e-commerce shop: its tables, the rows that demonstrate it, and what is made of their changes. */
export const pipeline = definePipeline({
  name: 'shop',
  connector: 'connector.json',
  schema: 'schema.sql',
  processors: shopProcessors,
  // Imported when asked for: most commands never generate a row.
  generate: async (database, options, signal) =>
    (await import('./generator.ts')).generate(database, options, signal),
  reconcile,
});

export function shopProcessors(variables: Variables): Processors {
  const isSet = (name: string): boolean => variables.text(name) !== undefined;
  return [
    cdcProcessor,
    streamProcessor(readThresholds(variables)),
    outboxEvents,
    ...(isSet(ALERT_WEBHOOK_URL) ? [alertWebhook] : []),
    ...(isSet(WAREHOUSE_URL) ? [warehouse] : []),
  ];
}
