import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { freePort } from './servers/free-port.ts';
import { securedServers, type SecuredServers } from './shop/secured-servers.ts';
import {
  type Ended,
  type Environment,
  ShopMillrace,
  type ShopMillraceOptions,
} from './shop/shop-millrace.ts';
import { ShopSource } from './shop/shop-source.ts';
import { startAll } from './shop/start-all.ts';

const WRONG = 'not-the-password';

/** What a user meets whose configuration and servers do not fit. */
describe('millrace', () => {
  const stack = new AsyncDisposableStack();
  after(() => stack.disposeAsync());
  let source: ShopSource;
  let servers: SecuredServers;
  before(async () => {
    [source, servers] = await startAll(stack, [ShopSource.start(), securedServers()]);
  });

  const make = (
    env: Environment = {},
    partitions: ShopMillraceOptions['partitions'] = 'four',
  ): Promise<ShopMillrace> =>
    ShopMillrace.make({ name: 'refused', source, partitions, env: { ...servers.env, ...env } });

  /** Runs the command to its end, and expects that it says all of that, and no secret, and no stack. */
  const refuses = async (
    command: readonly string[],
    env: Environment,
    exitCode: number,
    ...said: readonly string[]
  ): Promise<void> => {
    await using millrace = await make(env);
    expectRefusal(await millrace.run(...command), exitCode, ...said);
  };

  const expectRefusal = (
    { exitCode: found, out, err }: Ended,
    exitCode: number,
    ...said: readonly string[]
  ): void => {
    assert.equal(found, exitCode, out + err);
    for (const each of said) assert.ok(err.includes(each), `${each}: not said in\n${err}`);
    assert.doesNotMatch(out + err, /\n +at .*:\d+:\d+/);
    for (const secret of [...servers.secrets, WRONG])
      assert.ok(!(out + err).includes(secret), `the secret is told: ${out}${err}`);
  };

  test('names the broker that nobody answers at', async () => {
    const broker = `127.0.0.1:${await freePort()}`;
    const env = { KAFKA_BROKER: broker };
    await refuses(['run', 'stream'], env, 69, 'log_unreachable', broker, 'Check that Kafka is up');
    await refuses(['status'], env, 69, 'log_unreachable', broker);
  });

  test('refuses a wrong password for Kafka', async () => {
    const env = { KAFKA_SASL_PASSWORD: WRONG };
    await refuses(['run', 'capture'], env, 78, 'log_login_failed', 'KAFKA_SASL_MECHANISM');
  });

  test('refuses a mechanism that the broker does not have', async () => {
    const env = { KAFKA_SASL_MECHANISM: 'PLAIN' };
    await refuses(['run', 'capture'], env, 78, 'log_login_failed', 'KAFKA_SASL_MECHANISM');
  });

  test('refuses a broker whose certificate it does not trust', async () => {
    const env = { KAFKA_SSL_CA: '' };
    await refuses(['run', 'capture'], env, 78, 'log_login_failed', 'KAFKA_SSL_CA');
  });

  test('says so where the broker wants TLS and it speaks plainly', async () => {
    const env = { KAFKA_SECURITY_PROTOCOL: 'PLAINTEXT' };
    await refuses(['run', 'capture'], env, 78, 'log_login_failed', 'requires TLS');
  });

  test('says so where the broker is plain and it speaks TLS', async () => {
    const env = { KAFKA_BROKER: servers.kafka.brokers.join() };
    await refuses(['run', 'capture'], env, 78, 'log_login_failed');
  });

  test('refuses a wrong password for Redis', async () => {
    const env = { REDIS_PASSWORD: WRONG };
    await refuses(['run', 'stream'], env, 78, 'store_login_failed', 'WRONGPASS');
  });

  test('names the Redis that nobody answers at', async () => {
    const port = String(await freePort());
    await refuses(['run', 'stream'], { REDIS_PORT: port }, 69, 'store_unreachable', port);
  });

  test('refuses a Redis that evicts keys', async () => {
    const policy = async (name: string): Promise<void> => {
      const command = ['-p', String(servers.redis.port), 'CONFIG', 'SET', 'maxmemory-policy', name];
      await promisify(execFile)('redis-cli', command);
    };
    await policy('allkeys-lru');
    try {
      const said = ['expected: maxmemory-policy noeviction', 'found: allkeys-lru'];
      await refuses(['run', 'stream'], {}, 78, 'store_unsuitable', ...said);
      await refuses(['up'], {}, 78, 'store_unsuitable', ...said);
    } finally {
      await policy('noeviction');
    }
  });

  test('refuses a topic that exists with another number of partitions', async () => {
    const topic = { name: 'dbserver1.public.customers', partitions: 4, cleanup: 'delete' } as const;
    await using millrace = await make({}, 'one');
    await using log = await millrace.openLog();
    await log.createTopics([topic]);
    // Others made more topics of four partitions on this broker.
    const said = ['topic_partitions_changed', 'topic: ', 'expected: 1', 'found: 4'];
    expectRefusal(await millrace.run('run', 'stream'), 78, ...said);
    expectRefusal(await millrace.run('up'), 78, ...said);
  });

  test('names every server that a role lacks', async () => {
    const none = { POSTGRES_HOST: '', KAFKA_BROKER: '', REDIS_HOST: '' };
    const [kafka, redis, postgres] = ['KAFKA_BROKER', 'REDIS_HOST', 'POSTGRES_HOST'] as const;
    await refuses(['run', 'stream'], none, 78, 'config_invalid', kafka, redis);
    await refuses(['run', 'capture'], none, 78, 'config_invalid', kafka, postgres);
    await refuses(['run', 'generator', '--demo'], none, 78, 'config_invalid', kafka, postgres);
  });
});
