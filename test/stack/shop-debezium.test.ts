import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { temporaryConnect, type TemporaryConnect } from './servers/connect.ts';
import { temporaryKafka } from './servers/kafka.ts';
import { temporaryRedis } from './servers/redis.ts';
import { assertSameKeys } from './shop/differences.ts';
import type { ShopLoad } from './shop/shop-load.ts';
import { ShopMillrace } from './shop/shop-millrace.ts';
import { ShopSource } from './shop/shop-source.ts';
import { startAll } from './shop/start-all.ts';

const LOAD_MS = 4000;

describe('The shop with Debezium as its connector', () => {
  const stack = new AsyncDisposableStack();
  after(() => stack.disposeAsync());
  let source: ShopSource;
  let connect: TemporaryConnect;
  let embedded: ShopMillrace;
  let shop: ShopMillrace;

  before(async () => {
    const [started, kafka, redis] = await startAll(stack, [
      ShopSource.start(),
      temporaryKafka(),
      temporaryRedis(),
    ]);
    source = started;
    const { brokers } = kafka;
    connect = stack.use(await temporaryConnect({ brokers, env: source.env() }));
    embedded = stack.use(
      await ShopMillrace.make({ name: 'embedded', source, partitions: 'four', env: {} }),
    );
    const env = {
      KAFKA_BROKER: brokers.join(),
      MILLRACE_CONNECT_URL: connect.url,
      REDIS_HOST: redis.host,
      REDIS_PORT: String(redis.port),
    };
    shop = stack.use(await ShopMillrace.make({ name: 'debezium', source, partitions: 'one', env }));
    await Promise.all([embedded.up(), shop.up()]);
    await Promise.all([embedded.untilStreaming(), shop.untilStreaming()]);
  });

  test('serves the keys that the embedded one serves', async () => {
    await using load = source.load({ seed: 2, intervalMs: 500 });
    await wait(LOAD_MS);
    await load.stop();
    await shop.settle();
    await embedded.settle();
    assertSameKeys(await shop.served(), await embedded.served());
  });

  test('fills a lake of which models make what they make of the embedded one', async () => {
    const expected = await embedded.modelRows();
    assert.ok([...expected.values()].every((rows) => rows.length > 0));
    assert.deepEqual(await shop.modelRows(), expected);
  });

  test('says that Connect was killed, and is equal to the source again after its restart', async () => {
    await using load: ShopLoad = source.load({ seed: 3, intervalMs: 500 });
    await wait(1000);
    await connect.kill();
    await shop.until('told that it waits', ({ connector }) =>
      /connect_unreachable/.test(connector?.problem ?? ''),
    );
    await connect.restart();
    await shop.untilStreaming();
    await shop.reconcile();
    await load.stop();
    await shop.settle();
  });
});
