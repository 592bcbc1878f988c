import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryStore } from '../../adapters/memory/store.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { listParked, type ParkedRecord } from './dead-letters.ts';
import type { Processor } from '../processor.ts';
import {
  append,
  change,
  command,
  contents,
  DEAD,
  headersOf,
  INPUT,
  newLog,
  order,
  start,
  textOf,
  totals,
  truncate,
} from '../../../test/stream.ts';

const TASK = 'orders/shop.orders-0';

const ORIGINAL = { topic: INPUT, partition: 0 };

async function parked(store: MemoryStore): Promise<ParkedRecord[]> {
  return Array.fromAsync(listParked(store, 'orders'));
}

async function offsetsParked(store: MemoryStore): Promise<number[]> {
  return (await parked(store)).map(({ offset }) => offset);
}

/** Of each dead letter: the offset of its original, and why it is there. */
async function reasons(log: EventLog): Promise<string[]> {
  return (await contents(log, DEAD)).map((record) => {
    const headers = headersOf(record);
    const message = headers['__connect.errors.exception.message'] ?? '';
    return `${headers['__connect.errors.offset']}: ${message}`;
  });
}

/** A runner that has met these records, with a store that outlives it. */
async function after(...given: Parameters<typeof append>[1]) {
  const log = await newLog();
  const store = new MemoryStore();
  await append(log, given);
  await using running = start({ log, store });
  await running.idle();
  return { log, store };
}

describe('a record that fails', () => {
  test('leaves nothing of what was done for it, and the others go on', async () => {
    const { store } = await after(order(1, '1'), order(1, 'bad'), order(2, '2'));
    assert.deepEqual(await store.getMany(TASK, ['1', '2']), ['1', '2']);
    assert.deepEqual(await store.get('count', 0), { type: 'string', value: '2' });
    assert.deepEqual(await store.get('total:1', 0), { type: 'string', value: '1' });
    assert.deepEqual(await store.offsets(TASK), { 'shop.orders-0': 3 });
  });

  test('goes to the dead letters as it was, with the error in headers', async () => {
    const { log } = await after(order(1, 'bad'));
    const [input] = await contents(log, INPUT);
    const [letter] = await contents(log, DEAD);
    assert.deepEqual(textOf(letter?.key ?? null), textOf(input?.key ?? null));
    assert.deepEqual(textOf(letter?.value ?? null), textOf(input?.value ?? null));
    assert.equal(letter?.timestampMs, 7);
    const { '__connect.errors.exception.stacktrace': stack, ...headers } = headersOf(letter);
    assert.match(stack ?? '', /^TypeError: bad bad\n +at /);
    assert.deepEqual(headers, {
      from: 'test',
      '__connect.errors.topic': INPUT,
      '__connect.errors.partition': '0',
      '__connect.errors.offset': '0',
      '__connect.errors.connector.name': 'orders',
      '__connect.errors.task.id': TASK,
      '__connect.errors.stage': 'process',
      '__connect.errors.exception.class.name': 'TypeError',
      '__connect.errors.exception.message': 'bad bad',
      'millrace.id': `${TASK}:0:dead-letter`,
    });
  });

  test('fails as well when it cannot be decoded', async () => {
    const { log, store } = await after(
      { key: { id: 1 }, value: '{"op":' },
      { key: { id: 2 }, value: '{}' },
      order(3, '3'),
    );
    const letters = await contents(log, DEAD);
    assert.deepEqual(
      letters.map((letter) => headersOf(letter)['__connect.errors.stage']),
      ['decode', 'decode'],
    );
    assert.deepEqual(await store.getMany(TASK, ['3']), ['3']);
  });

  test('keeps bytes that are no text in base64, and says so', async () => {
    const bytes = Buffer.from([0xff, 0x00, 0xfe]);
    const { log, store } = await after({ key: bytes, value: bytes });
    const [letter] = await contents(log, DEAD);
    assert.equal(textOf(letter?.value ?? null), bytes.toString('base64'));
    assert.equal(headersOf(letter)['millrace.base64'], 'key,value');
    const [record] = await parked(store);
    assert.deepEqual([record?.key, record?.base64], [bytes.toString('base64'), ['key', 'value']]);
  });

  test('fails as well when what it serves can never be stored', async () => {
    const log = await newLog();
    await append(log, [order(1, '1')]);
    await using running = start({
      log,
      processor: {
        ...totals(),
        process: (_, context) => context.serve({ op: 'add', key: 'sum', amount: '1e3' }),
      },
    });
    await running.idle();
    assert.match((await reasons(log))[0] ?? '', /not a decimal: 1e3/);
  });
});

describe('a parked key', () => {
  test('makes its later records wait, and no others', async () => {
    const { log, store } = await after(
      order(1, 'bad'),
      order(2, '2'),
      order(1, '1'),
      order(1, 'bad too'),
    );
    assert.deepEqual(await reasons(log), [
      '0: bad bad',
      '2: waits behind offset 0',
      '3: waits behind offset 0',
    ]);
    assert.deepEqual(
      (await parked(store)).map(({ offset, key, failure, waitsBehind }) => [
        offset,
        key,
        failure?.message,
        waitsBehind,
      ]),
      [
        [0, '{"id":1}', 'bad bad', undefined],
        [2, '{"id":1}', undefined, 0],
        [3, '{"id":1}', undefined, 0],
      ],
    );
    assert.deepEqual(await store.getMany(TASK, ['1', '2']), [undefined, '2']);
  });

  test('stays parked over a restart', async () => {
    const { log, store } = await after(order(1, 'bad'));
    await append(log, [order(1, '1')]);
    await using running = start({ log, store });
    await running.idle();
    assert.deepEqual(await offsetsParked(store), [0, 1]);
    assert.equal((await running.runner.status()).parked, 2);
  });

  test('is no concern of records without a key, of which each is parked alone', async () => {
    const keyless = (amount: string) => change('c', null, { amount });
    const { log, store } = await after(keyless('bad'), keyless('1'), keyless('bad'));
    assert.deepEqual(await reasons(log), ['0: bad bad', '2: bad bad']);
    assert.deepEqual(
      (await parked(store)).map(({ waitsBehind }) => waitsBehind),
      [undefined, undefined],
    );
  });
});

describe('a truncate', () => {
  test('drops what was parked before it, with a note of how many', async () => {
    const { log, store } = await after(
      order(1, 'bad'),
      order(1, '1'),
      order(2, 'bad'),
      truncate(),
      order(1, '5'),
    );
    assert.deepEqual(await parked(store), []);
    assert.match((await reasons(log)).at(-1) ?? '', /^3: dropped 3 parked records/);
    assert.deepEqual(await store.getMany(TASK, ['1']), ['5']);
  });

  test('that fails makes all that follows wait, since it is of every key', async () => {
    const log = await newLog();
    const store = new MemoryStore();
    await append(log, [order(2, '9'), truncate(), order(1, '1'), order(2, '2')]);
    const failing: Processor = {
      ...totals(),
      process: (each) => {
        throw new Error(`no ${each.op}`);
      },
    };
    const first = start({ log, store, processor: failing });
    await first.idle();
    await first.stop();
    assert.deepEqual(await offsetsParked(store), [1, 2, 3, 0]);
    assert.deepEqual(await reasons(log), [
      '0: no c',
      '1: no t',
      '2: waits behind offset 1',
      '3: waits behind offset 1',
    ]);

    await using second = start({ log, store });
    await second.status(({ state }) => state === 'running');
    await command(log, { do: 'dlq-replay', processor: 'orders', ...ORIGINAL, key: null });
    await second.status((now) => now.parked === 0);
    // Offset 0 was of a row that the truncate removed.
    assert.deepEqual(await store.getMany(TASK, ['1', '2']), ['1', '2']);
  });
});

describe('replay', () => {
  test('processes the records of a key in order once they no longer fail', async () => {
    const { log, store } = await after(order(1, 'bad'), order(1, '1'), order(2, 'bad'));
    await using running = start({ log, store, processor: totals(new Set(['bad'])) });
    await running.status(({ state }) => state === 'running');
    await command(log, { do: 'dlq-replay', processor: 'orders', ...ORIGINAL, key: '{"id":1}' });
    await running.status((now) => now.parked === 1);
    assert.deepEqual(await offsetsParked(store), [2]);
    assert.deepEqual(await store.getMany(TASK, ['1']), ['1']);
    await append(log, [order(1, '4')]);
    await running.idle();
    assert.deepEqual(await store.getMany(TASK, ['1']), ['5']);
  });

  test('leaves the first that fails again, with its new error, and all behind it', async () => {
    const { log, store } = await after(
      order(1, 'bad'),
      order(1, '1'),
      order(1, 'worse'),
      order(1, '2'),
    );
    await using running = start({ log, store, processor: totals(new Set(['bad'])) });
    await running.status(({ state }) => state === 'running');
    await command(log, { do: 'dlq-replay-all', processor: 'orders' });
    await running.status((now) => now.parked === 2);
    assert.deepEqual(
      (await parked(store)).map(({ offset, failure, waitsBehind }) => [
        offset,
        failure?.message,
        waitsBehind,
      ]),
      [
        [2, 'bad worse', undefined],
        [3, undefined, 2],
      ],
    );
    assert.deepEqual(await store.getMany(TASK, ['1']), ['1']);
  });

  test('is refused nothing by more records than one commit takes', async () => {
    const waiting = Array.from({ length: 25 }, () => order(1, '1'));
    const { log, store } = await after(order(1, 'bad'), ...waiting);
    await using running = start({
      log,
      store,
      processor: totals(new Set(['bad'])),
      limits: { maxRecords: 10, maxBytes: 1_000_000, cacheEntries: 100 },
    });
    await running.status(({ state }) => state === 'running');
    await command(log, { do: 'dlq-replay-all', processor: 'orders' });
    await running.status((now) => now.parked === 0);
    assert.deepEqual(await store.getMany(TASK, ['1']), ['25']);
    assert.equal((await store.offsets(TASK))['replays'], 3);
  });
});

describe('drop', () => {
  test('gives up the first of a key and processes the rest', async () => {
    const { log, store } = await after(order(1, 'bad'), order(1, '1'), order(2, 'bad'));
    await using running = start({ log, store });
    await running.status(({ state }) => state === 'running');
    await command(log, { do: 'dlq-drop', processor: 'orders', ...ORIGINAL, key: '{"id":1}' });
    await running.status((now) => now.parked === 1);
    assert.deepEqual(await offsetsParked(store), [2]);
    assert.deepEqual(await store.getMany(TASK, ['1']), ['1']);
  });

  test('of all gives up the first of each key', async () => {
    const { log, store } = await after(
      order(1, 'bad'),
      order(1, '1'),
      order(2, 'bad'),
      change('c', null, { amount: 'bad' }),
      change('c', null, { amount: 'bad' }),
    );
    await using running = start({ log, store });
    await running.status(({ state }) => state === 'running');
    await command(log, { do: 'dlq-drop-all', processor: 'orders' });
    await running.status((now) => now.parked === 0);
    assert.deepEqual(await store.getMany(TASK, ['1', '2']), ['1', undefined]);
  });
});
