import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { temporaryKafka } from './servers/kafka.ts';
import { temporaryRedis } from './servers/redis.ts';
import { assertSameKeys } from './shop/differences.ts';
import { securedServers } from './shop/secured-servers.ts';
import { ShopMillrace } from './shop/shop-millrace.ts';
import { ShopSource } from './shop/shop-source.ts';
import { startAll } from './shop/start-all.ts';

const LOAD_MS = 5000;
const WORKERS = [1, 2, 3];

/** Embedded, on Kafka 4 and Redis with TLS and logins, and in six processes on Kafka 3.9 with ZooKeeper. */
describe('Three Millraces that follow one shop', () => {
  const stack = new AsyncDisposableStack();
  after(() => stack.disposeAsync());
  let embedded: ShopMillrace;
  let secured: ShopMillrace;
  let spread: ShopMillrace;
  let secrets: readonly string[];

  before(async () => {
    const [source, locked, kafka, redis] = await startAll(stack, [
      ShopSource.start(),
      securedServers(),
      temporaryKafka({ mode: 'zookeeper' }),
      temporaryRedis(),
    ]);
    ({ secrets } = locked);
    const make = async (
      options: Omit<Parameters<typeof ShopMillrace.make>[0], 'source'>,
    ): Promise<ShopMillrace> => stack.use(await ShopMillrace.make({ source, ...options }));
    embedded = await make({ name: 'embedded', partitions: 'four', env: {} });
    secured = await make({ name: 'secured', partitions: 'one', env: locked.env });
    const env = {
      KAFKA_BROKER: kafka.brokers.join(),
      REDIS_HOST: redis.host,
      REDIS_PORT: String(redis.port),
    };
    spread = await make({ name: 'spread', partitions: 'four', env });
    await Promise.all([
      embedded.up(),
      secured.up(),
      spread.capture(1),
      ...WORKERS.map((number) => spread.stream(number)),
      spread.batch(),
    ]);
    const all = [embedded, secured, spread];
    await Promise.all(all.map((each) => each.untilStreaming()));
    await using load = source.load({ seed: 1, intervalMs: 300 });
    await wait(LOAD_MS);
    await load.stop();
  });

  test('are each equal to the source, and serve the same keys, whatever log and store', async () => {
    for (const each of [embedded, secured, spread]) await each.settle();
    const expected = await embedded.served();
    assertSameKeys(await secured.served(), expected);
    assertSameKeys(await spread.served(), expected);
  });

  test('make the same of it by SQL models, whatever the log that the lake is written from', async () => {
    const expected = await embedded.modelRows();
    assert.equal(expected.size, 7, [...expected.keys()].join());
    assert.ok([...expected.values()].every((rows) => rows.length > 0));
    assert.deepEqual(await secured.modelRows(), expected);
    assert.deepEqual(await spread.modelRows(), expected);
  });

  test('tell no secret', async () => {
    const told = (await secured.logged()) + JSON.stringify(await secured.status());
    for (const secret of secrets) assert.ok(!told.includes(secret), `${secret} was told`);
  });
});
