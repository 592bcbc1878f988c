import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../../src/adapters/memory/store.ts';
import { append, change, INPUT, newLog, start, truncate } from '../../../test/stream.ts';
import { cdcProcessor } from './cdc-processor.ts';

const CHANGES = 10_350;
const ORDERS = 300;

test('the engine runs it over more changes than are kept, and over a truncate', async () => {
  const log = await newLog();
  const store = new MemoryStore();
  const count = async (prefix: string) => (await Array.fromAsync(store.keys(prefix, 0))).length;
  const orders = Array.from({ length: CHANGES }, (_, at) => {
    const id = at % ORDERS;
    const row = { id, customer_id: id % 11, total_amount: `${Math.floor(at / ORDERS)}.25` };
    return change(at < ORDERS ? 'c' : 'u', id, row);
  });

  await using running = start({ log, store, processor: { ...cdcProcessor, topics: [INPUT] } });
  await append(log, orders);
  await running.idle();
  assert.equal((await running.status(() => true)).parked, 0);
  assert.equal(await count('cdc:change:'), 10_000);
  assert.equal(await count('order:'), ORDERS);
  assert.equal(await count('customer:'), 11);
  // The last round changed half of the orders: 150 of 34.25, 150 of 33.25.
  assert.deepEqual(await store.get('metrics:revenue:total', 0), { type: 'string', value: '10125' });

  await append(log, [truncate()]);
  await running.idle();
  assert.equal((await count('order:')) + (await count('customer:')), 0);
  assert.deepEqual(await store.get('metrics:revenue:total', 0), { type: 'string', value: '0' });
});
