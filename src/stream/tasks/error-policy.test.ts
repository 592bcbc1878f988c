import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { MillraceError } from '../../domain/errors.ts';
import { defineTable } from '../../domain/table.ts';
import {
  append,
  command,
  contents,
  DEAD,
  eventually,
  headersOf,
  INPUT,
  newLog,
  order,
  type Running,
  servedNumber,
  start,
  textOf,
  totals,
} from '../../../test/stream.ts';
import type { Processor } from '../processor.ts';
import { compile } from '../topology/compile.ts';
import { topology } from '../topology/topology.ts';
import type { OnError } from './error-policy.ts';

const TASK = 'orders/shop.orders-0';

/** `totals`, which asks a service that fails so often at each amount that is no number. */
function asking(onError: OnError, failures: number, attempts: number[] = []): Processor {
  const cured = new Set<string>();
  const inner = totals(cured);
  let failed = 0;
  return {
    ...inner,
    onError,
    process(change, context) {
      const { amount = '0' } = (change.after ?? {}) as { amount?: string };
      if (Number.isNaN(Number(amount))) {
        attempts.push(change.offset);
        failed += 1;
        if (failed > failures) cured.add(amount);
      }
      return inner.process(change, context);
    },
  };
}

/** What the status says of a record that waits to be tried again. */
const waiting = ({ status }: Running) => status(({ problem }) => problem !== undefined);

describe('a record that is to be tried again', () => {
  test('is, later each time, and keeps those behind it waiting; all is done once', async () => {
    const log = await newLog();
    await append(log, [order(1, '1'), order(2, 'busy'), order(1, '5')]);
    const attempts: number[] = [];
    const processor = asking({ retries: 3, backoffMs: 100 }, 3, attempts);
    await using running = start({ log, processor });
    for (const [index, pauseMs] of [100, 200, 400].entries()) {
      const { problem } = await running.status(
        (now) => now.problem?.includes(`in ${pauseMs} ms`) === true,
      );
      assert.match(problem ?? '', /^offset 1 of shop\.orders-0 .*TypeError: bad busy$/);
      assert.equal(attempts.length, index + 1);
      running.clock.turn(pauseMs - 1);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(attempts.length, index + 1);
      running.clock.turn(1);
    }
    await running.idle();
    assert.deepEqual(attempts, [1, 1, 1, 1]);
    assert.deepEqual(await running.store.getMany(TASK, ['1', '2']), ['6', '0']);
    assert.equal(await servedNumber(running.store, 'count'), 3);
    assert.deepEqual(await contents(log, DEAD), []);
    assert.equal((await running.runner.status()).problem, undefined);
  });

  test('is a dead letter once that is in vain', async () => {
    const log = await newLog();
    await append(log, [order(2, 'busy'), order(1, '5')]);
    await using running = start({ log, processor: asking({ retries: 1 }, Infinity) });
    await waiting(running);
    running.clock.turn(1000);
    await running.idle();
    assert.equal((await running.runner.status()).parked, 1);
    const [letter] = await contents(log, DEAD);
    assert.equal(headersOf(letter)['__connect.errors.exception.message'], 'bad busy');
    assert.equal(
      textOf(letter?.value ?? null),
      textOf((await contents(log, INPUT))[0]?.value ?? null),
    );
  });

  test('is not when its bytes mean nothing: they would not the next time', async () => {
    const log = await newLog();
    await append(log, [{ key: { id: 1 }, value: '{' }]);
    await using running = start({ log, processor: asking({ retries: 5 }, Infinity) });
    await running.idle();
    assert.equal((await running.runner.status()).parked, 1);
  });

  test('keeps neither a hold nor the end waiting', async () => {
    const log = await newLog();
    await append(log, [order(1, '1'), order(2, 'busy')]);
    const processor = asking({ retries: 2, backoffMs: 60_000 }, Infinity);
    const running = start({ log, processor });
    await waiting(running);
    await command(log, { do: 'hold', processor: 'orders', hold: 'h', at: 'now', leaseMs: 500 });
    const { tasks } = await running.status(({ state }) => state === 'held');
    assert.equal(tasks[0]?.partitions[0]?.offset, 1);
    assert.deepEqual(await running.store.getMany(TASK, ['1']), ['1']);
    running.clock.turn(500);
    await waiting(running);
    await running.stop();
    assert.deepEqual(await running.store.offsets(TASK), { 'shop.orders-0': 1 });
  });

  test('is tried as often as it is to be, whatever comes between', async () => {
    const log = await newLog();
    await append(log, [order(2, 'busy')]);
    const attempts: number[] = [];
    const processor = asking({ retries: 3, backoffMs: 1000 }, Infinity, attempts);
    await using running = start({ log, processor });
    for (const times of [1, 2, 3]) {
      await eventually(async () => attempts.length === times || undefined);
      const own = { processor: 'orders', hold: `h${times}` };
      await command(log, { do: 'hold', ...own, at: 'now', leaseMs: 500_000 });
      await running.status(({ state }) => state === 'held');
      await command(log, { do: 'release', ...own });
    }
    await running.status(({ parked }) => parked === 1);
    assert.equal(attempts.length, 4);
  });
});

describe('a processor that is to stop at a record that fails', () => {
  test('has done all before it and nothing of it, and goes on with it when started again', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    await append(log, [order(1, '1'), order(3, '7'), order(2, 'busy'), order(1, '5')]);
    const first = start({ log, store, processor: asking({ giveUp: 'stop' }, Infinity) });
    await assert.rejects(first.ended, (error) => {
      assert.ok(error instanceof MillraceError);
      assert.equal(error.code, 'processor_stopped');
      assert.match(error.message, /offset 2, stage process, found TypeError: bad busy/);
      return true;
    });
    assert.equal((await first.runner.status()).state, 'failed');
    assert.deepEqual(await store.offsets(TASK), { 'shop.orders-0': 2 });
    assert.deepEqual(await store.getMany(TASK, ['1', '2', '3']), ['1', undefined, '7']);
    await using second = start({ log, store, processor: totals(new Set(['busy'])) });
    await second.idle();
    assert.deepEqual(await store.getMany(TASK, ['1', '2', '3']), ['6', '0', '7']);
    assert.equal(await servedNumber(store, 'count'), 4);
    assert.deepEqual(await contents(log, DEAD), []);
  });

  test('tries it again before, where it is to', async () => {
    const log = await newLog();
    await append(log, [order(2, 'busy')]);
    const attempts: number[] = [];
    const processor = asking({ retries: 1, giveUp: 'stop' }, Infinity, attempts);
    const running = start({ log, processor });
    await waiting(running);
    running.clock.turn(1000);
    await assert.rejects(running.ended, { code: 'processor_stopped' });
    assert.deepEqual(attempts, [0, 0]);
  });

  test('names the operator of a topology', async () => {
    const log = await newLog();
    await append(log, [order(2, 'busy')]);
    const orders = defineTable<{ id: number }, { amount: string }>({ topic: INPUT, key: ['id'] });
    const described = topology('orders', { onError: { giveUp: 'stop' } }, ({ created }) => {
      created(orders)
        .map(({ amount }) => {
          if (amount === 'busy') throw new RangeError('a bad amount');
          return { amount };
        })
        .serve({ prefix: 'amount-of-' });
    });
    const processor = compile(described, () => 1);
    await log.createTopics(processor.declares);
    const running = start({ log, processor });
    await assert.rejects(running.ended, {
      code: 'processor_stopped',
      message: /step map-2, found RangeError: a bad amount/,
    });
  });
});
