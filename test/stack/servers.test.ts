import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { openConnection } from '../../src/adapters/postgres/connection.ts';
import { must } from '../../src/lib/must.ts';
import { temporaryConnect } from './servers/connect.ts';
import { jarsOf } from './servers/jars.ts';
import { runJava } from './servers/java.ts';
import { temporaryKafka, type TemporaryKafka } from './servers/kafka.ts';
import { deployedPostgres } from './servers/postgres.ts';
import { temporaryRedis } from './servers/redis.ts';

const run = promisify(execFile);

/** By Kafka's own tool, for which the topic has to be declared: the broker makes none by itself. */
const makeTopic = async ({ brokers }: TemporaryKafka, name: string): Promise<void> => {
  const where = ['--bootstrap-server', brokers.join(',')];
  const what = ['--create', '--topic', name, '--partitions', '2'];
  await runJava(await jarsOf('kafka'), 'org.apache.kafka.tools.TopicCommand', [...where, ...what]);
};

const kcat = async ({ brokers }: TemporaryKafka, ...args: string[]): Promise<string> =>
  (await run('kcat', ['-b', brokers.join(','), ...args])).stdout;

const partitionsOf = async (kafka: TemporaryKafka, topic: string): Promise<unknown> => {
  type Listing = { topics: { topic: string; partitions: unknown[] }[] };
  const { topics } = JSON.parse(await kcat(kafka, '-L', '-J')) as Listing;
  return topics.find((each) => each.topic === topic)?.partitions.length;
};

/** Runs the health check of a container against a server here; whether it answers is what it tells. */
const isHealthy = async (check: string, address: string): Promise<boolean> => {
  const port = must(address.split(':').at(-1), 'an address has a port');
  const file = join(import.meta.dirname, '../../deploy', check, 'health.sh');
  // As long as compose.yaml lets it take.
  return run(file, [port], { timeout: 3000, killSignal: 'SIGKILL' }).then(
    () => true,
    () => false,
  );
};

for (const mode of ['kraft', 'zookeeper'] as const) {
  describe(`Kafka, ${mode}`, async () => {
    const kafka = await temporaryKafka({ mode });
    after(() => kafka[Symbol.asyncDispose]());

    test('keeps the topics that were made through a kill', async () => {
      await makeTopic(kafka, 'kept');
      assert.equal(await partitionsOf(kafka, 'kept'), 2);
      await kafka.kill();
      await kafka.restart();
      assert.equal(await partitionsOf(kafka, 'kept'), 2);
    });

    test("is healthy by its container's check while it answers", async () => {
      const address = must(kafka.brokers[0], 'it has one');
      assert.equal(await isHealthy('kafka', address), true);
      kafka.pause();
      assert.equal(await isHealthy('kafka', address), false);
      kafka.resume();
      assert.equal(await isHealthy('kafka', address), true);
      const { zookeeper } = kafka;
      if (zookeeper !== undefined)
        assert.equal(await isHealthy('zookeeper', zookeeper.address), true);
    });

    test('makes no topic that nobody declared', async () => {
      await assert.rejects(kcat(kafka, '-C', '-t', 'undeclared', '-e'), /Unknown topic/);
      assert.equal(await partitionsOf(kafka, 'undeclared'), undefined);
    });
  });
}

test('Kafka Connect has the PostgreSQL connector of Debezium, also after a kill', async () => {
  await using kafka = await temporaryKafka();
  await using connect = await temporaryConnect(kafka);
  const plugins = async (): Promise<unknown[]> => {
    const found = (await (await fetch(`${connect.url}/connector-plugins`)).json()) as object[];
    return found.flatMap((plugin) => ('class' in plugin ? [plugin.class] : []));
  };
  assert.deepEqual(await plugins(), ['io.debezium.connector.postgresql.PostgresConnector']);
  assert.equal(await isHealthy('connect', connect.url), true);
  await connect.kill();
  assert.equal(await isHealthy('connect', connect.url), false);
  await connect.restart();
  assert.deepEqual(await plugins(), ['io.debezium.connector.postgresql.PostgresConnector']);
});

test('Redis evicts nothing, and keeps what it wrote to its file', async () => {
  await using redis = await temporaryRedis({ appendonly: 'yes', appendfsync: 'always' });
  const cli = async (...args: string[]): Promise<string> =>
    (await run('redis-cli', ['-p', String(redis.port), ...args])).stdout.trim();
  assert.match(await cli('CONFIG', 'GET', 'maxmemory-policy'), /noeviction/);
  await cli('SET', 'a', '1');
  await redis.kill();
  await redis.restart();
  assert.equal(await cli('GET', 'a'), '1');
});

test('PostgreSQL decodes its WAL logically', async () => {
  await using postgres = await deployedPostgres();
  const client = await openConnection(postgres);
  try {
    const { rows } = await client.query('SHOW wal_level');
    assert.deepEqual(rows, [{ wal_level: 'logical' }]);
    const kept = await client.query('SHOW max_slot_wal_keep_size');
    assert.deepEqual(kept.rows, [{ max_slot_wal_keep_size: '10GB' }]);
  } finally {
    await client.end();
  }
});
