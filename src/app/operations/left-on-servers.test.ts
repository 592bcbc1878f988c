import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { must } from '../../lib/must.ts';
import { topicsOf } from '../compose.ts';
import { loadPipeline } from '../config/load-pipeline.ts';
import { leftOnServers } from './left-on-servers.ts';

const SHOP = join(import.meta.dirname, '../../../pipelines/shop');

test('where everything is embedded, a reset leaves nothing', async () => {
  const pipelineDir = () => assert.fail('nobody asks for the pipeline');
  assert.deepEqual(await leftOnServers({ env: {}, pipelineDir }), []);
});

test('what stays in Kafka and Redis is named with the commands that remove it', async () => {
  const env = {
    POSTGRES_HOST: 'db',
    KAFKA_BROKER: 'a:9092,b:9092',
    REDIS_HOST: 'c',
    REDIS_PORT: '6380',
    REDIS_PASSWORD: 'secret',
  };
  const lines = await leftOnServers({ env, pipelineDir: () => SHOP });
  const commands = lines.filter((line) => line.startsWith('  ')).map((line) => line.trim());
  const [kafka = '', redis] = commands;
  assert.equal(redis, 'redis-cli -h c -p 6380 FLUSHDB');
  const asked = /^kafka-topics.sh --bootstrap-server a:9092,b:9092 --delete --topic '(.*)'$/.exec(
    kafka,
  );
  const pattern = new RegExp(`^(${must(asked?.[1], kafka)})$`);
  const topics = topicsOf(await loadPipeline(SHOP, env)).map(({ name }) => name);
  for (const name of [...topics, 'dbserver1.public.orders']) assert.match(name, pattern);
  for (const name of ['others', 'dbserver10.public.orders']) assert.doesNotMatch(name, pattern);
  assert.ok(!lines.join('').includes('secret'));
});
