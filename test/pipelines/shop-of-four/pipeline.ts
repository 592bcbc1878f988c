import { definePipeline } from '../../../src/index.ts';
import { pipeline as shop, shopProcessors } from '../../../pipelines/shop/pipeline.ts';
import { crashAnalytics } from '../../crash/analytics.ts';
import { TOPICS } from '../../../pipelines/shop/row-tables.ts';

/**
 * The shop, with four partitions a topic, and a topology whose results can be worked out from the log. Its connector takes the name of slot and publication from
 * the environment (SHOP_SLOT), so that several can follow one server.
 */
export const pipeline = definePipeline({
  ...shop,
  processors: (variables) => [...shopProcessors(variables), crashAnalytics('customers')],
  schema: '../../../pipelines/shop/schema.sql',
  models: '../../../pipelines/shop/models',
  partitions: Object.fromEntries(TOPICS.map((topic) => [topic, 4])),
});
