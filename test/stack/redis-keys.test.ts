import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { cdcProcessor } from '../../pipelines/shop/streams/cdc-processor.ts';
import { RedisStore } from '../../src/adapters/redis/store.ts';
import type { Operation, Row } from '../../src/domain/envelope.ts';
import { blocksOf } from '../../src/domain/record-block.ts';
import type { EventLog } from '../../src/ports/event-log.ts';
import { newLog, start } from '../stream.ts';
import { temporaryRedis } from './servers/redis.ts';

const run = promisify(execFile);

test("the shop's keys are read with redis-cli by the names of their reference", async () => {
  await using server = await temporaryRedis();
  const cli = async (...command: string[]): Promise<string[]> => {
    const { stdout } = await run('redis-cli', ['-p', String(server.port), ...command]);
    return stdout.trimEnd().split('\n');
  };
  await using store = await RedisStore.open(server);
  const log = await newLog();
  await log.createTopics(
    cdcProcessor.topics.map((name) => ({ name, partitions: 1, cleanup: 'delete' as const })),
  );
  const nowMs = Date.now();
  const john = { id: 1, first_name: 'John' };
  await appendChanges(log, nowMs, [
    ['customers', 'c', john],
    ['customers', 'c', { id: 2, first_name: 'Jane' }],
    ['customers', 'd', { id: 2, first_name: 'Jane' }],
    ['products', 'c', { id: 5, stock_quantity: 3 }],
    ['orders', 'c', { id: 7, customer_id: 1, total_amount: '10.50' }],
    ['orders', 'r', { id: 8, customer_id: 1, total_amount: '0.25' }],
    ['order_items', 'c', { id: 9, product_id: 5, quantity: 4 }],
  ]);
  await using running = start({ log, store, processor: cdcProcessor });
  await running.idle();

  assert.deepEqual(await cli('GET', 'metrics:revenue:total'), ['10.75']);
  assert.deepEqual((await cli('SMEMBERS', 'customer:1:orders')).toSorted(), ['7', '8']);
  assert.deepEqual(await cli('GET', 'customer:1'), [JSON.stringify(john)]);
  assert.deepEqual(await cli('EXISTS', 'customer:2'), ['0']);
  assert.deepEqual(await cli('GET', 'metrics:product:5:sold'), ['4']);
  assert.deepEqual(await cli('GET', 'metrics:orders:created'), ['1']);
  assert.deepEqual(await cli('MGET', 'cdc:stats:orders:r', 'cdc:stats:total'), ['1', '7']);
  assert.deepEqual(await cli('GET', `cdc:change:orders:${nowMs}:r:8-0`), [
    JSON.stringify({
      operation: 'r',
      table: 'orders',
      timestamp: nowMs,
      before: null,
      after: { id: 8, customer_id: 1, total_amount: '0.25' },
      processed_at: new Date(nowMs).toISOString(),
    }),
  ]);
  for (const [key, seconds] of [
    ['customer:1', 7200],
    ['order:7', 3600],
    ['product:5', 3600],
    [`cdc:change:orders:${nowMs}:c:7-0`, 3600],
    ['alert:low_stock:5', 1800],
  ] as const) {
    assert.deepEqual(await cli('PEXPIRETIME', key), [String(nowMs + seconds * 1000)]);
    const left = Number(await cli('TTL', key));
    assert.ok(left > 0 && left <= seconds, `${key} expires in ${left} s`);
  }
  for (const key of ['metrics:revenue:total', 'customer:1:orders', 'cdc:stats:total']) {
    assert.deepEqual(await cli('TTL', key), ['-1']);
  }
});

async function appendChanges(
  log: EventLog,
  nowMs: number,
  changes: readonly (readonly [table: string, op: Operation, row: Row])[],
): Promise<void> {
  const records = changes.map(([table, op, row]) => {
    const source = { schema: 'public', table, ts_ms: nowMs, txId: 1, lsn: 1, snapshot: 'false' };
    const [before, after] = op === 'd' ? [row, null] : [null, row];
    const value = Buffer.from(JSON.stringify({ op, before, after, source }));
    const key = Buffer.from(JSON.stringify({ id: row['id'] }));
    const record = { timestampMs: nowMs, key, value, headers: [] };
    return { topic: `dbserver1.public.${table}`, partition: 0, record };
  });
  const producer = await log.openProducer('shop');
  await producer.append(blocksOf(records));
}
