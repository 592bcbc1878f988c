import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Holds } from './holds.ts';
import { append, command, newLog, order, start } from '../../../test/stream.ts';

const PARTITION = 'shop.orders-0';
const orders = (count: number) => Array.from({ length: count }, (_, index) => order(index, '1'));

describe('Holds', () => {
  test('stops before the first offset that any names, at once where one names none', () => {
    const holds = new Holds();
    assert.equal(holds.stopAt('a-0'), undefined);
    holds.place('x', { 'a-0': 10, 'b-0': 3 }, 100);
    holds.place('y', { 'a-0': 7, 'b-0': 4 }, 100);
    assert.deepEqual([holds.stopAt('a-0'), holds.stopAt('b-0'), holds.stopAt('c-0')], [7, 3, 0]);
    holds.release('y');
    assert.equal(holds.stopAt('a-0'), 10);
  });

  test('names the hold that tasks at rest have reached', () => {
    const holds = new Holds();
    holds.place('far', { 'a-0': 10 }, 100);
    holds.place('now', 'now', 100);
    assert.equal(holds.reached(new Map([['a-0', 4]])), 'now');
    holds.release('now');
    assert.equal(holds.reached(new Map([['a-0', 4]])), undefined);
    assert.equal(holds.reached(new Map([['a-0', 10]])), 'far');
  });

  test('ends with the lease', () => {
    const holds = new Holds();
    holds.place('x', 'now', 100);
    holds.place('y', 'now', 50);
    assert.equal(holds.nextExpiryMs(), 50);
    holds.expire(50);
    assert.equal(holds.nextExpiryMs(), 100);
    holds.expire(100);
    assert.equal(holds.stopAt('a-0'), undefined);
  });
});

describe('a held processor', () => {
  test('reaches an offset before which no record is left, and shows no lag there', async () => {
    const log = await newLog(1, { markers: true });
    await using running = start({ log });
    await append(log, orders(2));
    await command(log, {
      do: 'hold',
      processor: 'orders',
      hold: 'h',
      leaseMs: 60_000,
      at: { [PARTITION]: 3 },
    });
    const { tasks } = await running.status(({ hold }) => hold === 'h');
    assert.deepEqual(tasks[0]?.partitions[0]?.offset, 3);
    assert.deepEqual(tasks[0]?.partitions[0]?.end, 3);
  });

  test('rests before the offset named, until released', async () => {
    const log = await newLog();
    await using running = start({ log });
    await running.status(({ state }) => state === 'running');
    const hold = { do: 'hold', processor: 'orders', hold: 'h', leaseMs: 1000 } as const;
    await command(log, { ...hold, at: 'now' });
    await running.status(({ state }) => state === 'held');
    await append(log, orders(5));
    for (const offset of [3, 4]) {
      await command(log, { ...hold, at: { [PARTITION]: offset } });
      const held = await running.status(
        ({ state, tasks }) => state === 'held' && tasks[0]?.partitions[0]?.offset === offset,
      );
      assert.equal(held.hold, 'h');
      assert.deepEqual(await running.store.offsets(`orders/${PARTITION}`), { [PARTITION]: offset });
    }

    await command(log, { do: 'release', processor: 'orders', hold: 'h' });
    await running.idle();
    const { state, hold: none } = await running.runner.status();
    assert.deepEqual([state, none], ['running', undefined]);
  });

  test('rests at once when told now, and goes on when the lease ends', async () => {
    const log = await newLog();
    let changes = 0;
    await using running = start({ log, onChange: () => changes++ });
    await running.status(({ state }) => state === 'running');
    await command(log, { do: 'hold', processor: 'orders', hold: 'h', at: 'now', leaseMs: 1000 });
    await running.status(({ state }) => state === 'held');
    const told = changes;
    await append(log, orders(2));
    running.clock.turn(999);
    assert.equal((await running.runner.status()).tasks[0]?.partitions[0]?.offset, 0);
    running.clock.turn(1);
    await running.idle();
    assert.ok(changes > told);
  });

  test('does not replay before it is released', async () => {
    const log = await newLog();
    await using running = start({ log });
    await append(log, [order(1, 'bad'), order(1, '1')]);
    await running.idle();
    await command(log, { do: 'hold', processor: 'orders', hold: 'h', at: 'now', leaseMs: 1000 });
    await running.status(({ state }) => state === 'held');
    await command(log, { do: 'dlq-drop-all', processor: 'orders' });
    await command(log, { do: 'hold', processor: 'orders', hold: 'h2', at: 'now', leaseMs: 1000 });
    await command(log, { do: 'release', processor: 'orders', hold: 'h' });
    assert.equal((await running.status(({ hold }) => hold === 'h2')).parked, 2);
    await command(log, { do: 'release', processor: 'orders', hold: 'h2' });
    await running.status(({ parked }) => parked === 0);
  });

  test('obeys no hold of another, and none from before its start', async () => {
    const log = await newLog();
    const hold = { do: 'hold', hold: 'h', at: 'now', leaseMs: 1000 } as const;
    await command(log, { ...hold, processor: 'orders' });
    await using running = start({ log });
    await running.status(({ state }) => state === 'running');
    await command(log, { ...hold, processor: 'others' });
    await append(log, orders(2));
    await running.idle();
    assert.equal((await running.runner.status()).state, 'running');
  });
});
