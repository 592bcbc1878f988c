import { definePipeline } from '../../src/index.ts';
import { reconcile } from './reconcile.ts';
import { cdcProcessor } from './streams/cdc-processor.ts';

/** An e-commerce shop: its tables, the rows that demonstrate it, and what is made of their changes. */
export const pipeline = definePipeline({
  name: 'shop',
  connector: 'connector.json',
  schema: 'schema.sql',
  processors: [cdcProcessor],
  // Imported when asked for: most commands never generate a row.
  generate: async (database, options, signal) =>
    (await import('./generator.ts')).generate(database, options, signal),
  reconcile,
});
