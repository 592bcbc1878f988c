import { definePipeline } from '../../../src/index.ts';
import { pipeline as shop } from '../../../pipelines/shop/pipeline.ts';
import { TOPICS } from '../../../pipelines/shop/row-tables.ts';

/**
 * The shop, with four partitions a topic. Its connector takes the name of slot and publication from
 * the environment (SHOP_SLOT), so that several can follow one server.
 */
export const pipeline = definePipeline({
  ...shop,
  schema: '../../../pipelines/shop/schema.sql',
  partitions: Object.fromEntries(TOPICS.map((topic) => [topic, 4])),
});
