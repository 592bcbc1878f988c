import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
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
  assert.deepEqual(commands, [
    String.raw`kafka-topics.sh --bootstrap-server a:9092,b:9092 --delete --topic 'dbserver1\..*|cdc-processor\.dead-letters|millrace\..*'`,
    'redis-cli -h c -p 6380 FLUSHDB',
  ]);
  assert.ok(!lines.join('').includes('secret'));
});
