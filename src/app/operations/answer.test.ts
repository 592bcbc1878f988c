import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { readConnectorConfig } from '../../capture/connector-config.ts';
import { blocksOf } from '../../domain/record-block.ts';
import type { Status } from '../../domain/status.ts';
import { answerOperation } from './answer.ts';
import { CommandSender } from './command-sender.ts';
import type { OperationContext, RunningParts } from './operation-context.ts';
import type { ArgumentsOf, OperationName, ValueOf } from './operations.ts';
import { StatusBoard } from '../status/status-board.ts';
import { StatusPublisher } from '../status/status-publisher.ts';
import { declaredTopics } from '../topics.ts';

const NOW_MS = 1_000_000;
const never = new AbortController().signal;

async function contextWith(topics: Record<string, number> = { orders: 1 }) {
  const log = new MemoryEventLog();
  const store = new MemoryStore();
  const declared = Object.entries(topics).map(
    ([name, partitions]) => ({ name, partitions, cleanup: 'delete' }) as const,
  );
  await log.createTopics([...declaredTopics([]), ...declared]);
  const statuses = new StatusBoard(log);
  const context: OperationContext = {
    dataDir: '/data',
    log,
    store,
    statuses,
    clock: () => NOW_MS,
    running: undefined,
  };
  const producer = await log.openProducer('test');
  const append = (topic: string, partition: number, ...records: [key: string, value: string][]) =>
    producer.append(
      blocksOf(
        records.map(([key, value]) => ({
          topic,
          partition,
          record: {
            timestampMs: NOW_MS,
            key: Buffer.from(key),
            value: Buffer.from(value),
            headers: [['h', 'x']],
          },
        })),
      ),
    );
  const ask = <Name extends OperationName>(
    name: Name,
    args: ArgumentsOf<Name>,
    signal = never,
  ): Promise<ValueOf<Name>[]> =>
    Array.fromAsync(answerOperation(name, args, context, signal) as AsyncIterable<ValueOf<Name>>);
  return { context, log, store, append, ask };
}

describe('consume', () => {
  const all = { from: 'beginning', follow: false } as const;

  test('yields what a topic holds, JSON parsed, and ends at its end', async () => {
    const { append, ask } = await contextWith();
    await append('orders', 0, ['{"id":1}', '{"ts_ns":1763900000123456789}'], ['k', 'not JSON']);
    const records = await ask('consume', { ...all, topics: 'orders' });
    assert.equal(
      JSON.stringify(records),
      '[{"topic":"orders","partition":0,"offset":0,"timestamp":1000000,"key":{"id":1},"value":{"ts_ns":1763900000123456789},"headers":{"h":"x"}},' +
        '{"topic":"orders","partition":0,"offset":1,"timestamp":1000000,"key":"k","value":"not JSON","headers":{"h":"x"}}]',
    );
  });

  test('takes all topics and partitions that a pattern names', async () => {
    const { append, ask } = await contextWith({ orders: 2, order_items: 1, customers: 1 });
    for (const [topic, partition] of [
      ['orders', 1],
      ['order_items', 0],
      ['customers', 0],
    ] as const)
      await append(topic, partition, ['1', '1']);
    const records = await ask('consume', { ...all, topics: 'order*' });
    assert.deepEqual(
      records.map(({ topic, partition }) => [topic, partition]),
      [
        ['order_items', 0],
        ['orders', 1],
      ],
    );
  });

  test('follows topics that appear later, from their first record on', async () => {
    const { log, append, ask } = await contextWith({ orders: 1, customers: 1 });
    const following = ask('consume', { topics: 'order*', from: 'end', follow: true, limit: 2 });
    await log.createTopics([{ name: 'order_items', partitions: 2, cleanup: 'delete' }]);
    await append('customers', 0, ['1', '1']);
    await append('order_items', 1, ['1', '1'], ['2', '2']);
    assert.deepEqual(
      (await following).map(({ topic, offset }) => [topic, offset]),
      [
        ['order_items', 0],
        ['order_items', 1],
      ],
    );
  });

  test('waits for topics of a pattern, not for one that is misspelt', async () => {
    const { log, append, ask } = await contextWith({});
    const args = { from: 'beginning', follow: true, limit: 1 } as const;
    await assert.rejects(ask('consume', { ...args, topics: 'ordres' }), { code: 'topic_missing' });
    const following = ask('consume', { ...args, topics: 'order*' });
    await log.createTopics([{ name: 'orders', partitions: 1, cleanup: 'delete' }]);
    await append('orders', 0, ['1', '1']);
    assert.equal((await following).length, 1);
  });

  test('finds a key however it is written', async () => {
    const { append, ask } = await contextWith();
    await append('orders', 0, ['{"a":1,"b":2}', '1'], ['{"id":7}', '2'], ['seven', '3']);
    const valuesOf = async (key: string) =>
      (await ask('consume', { ...all, topics: 'orders', key })).map(({ value }) => value);
    assert.deepEqual(await valuesOf('{ "b": 2, "a": 1 }'), [1]);
    assert.deepEqual(await valuesOf('7'), [2]);
    assert.deepEqual(await valuesOf('seven'), [3]);
  });

  test('begins at an offset, ends after a limit', async () => {
    const { append, ask } = await contextWith();
    await append('orders', 0, ['1', '1'], ['2', '2'], ['3', '3']);
    const records = await ask('consume', {
      topics: 'orders',
      from: { offset: 1 },
      follow: false,
      limit: 1,
    });
    assert.deepEqual(
      records.map(({ offset }) => offset),
      [1],
    );
  });

  test('follows what is appended later, until it is told to stop', async () => {
    const { append, ask } = await contextWith({ orders: 2 });
    const stop = new AbortController();
    const following = ask(
      'consume',
      { topics: 'orders', from: 'beginning', follow: true, limit: 2 },
      stop.signal,
    );
    await append('orders', 0, ['1', '1']);
    await append('orders', 1, ['2', '2']);
    assert.equal((await following).length, 2);
  });

  test('names a topic that does not exist', async () => {
    const { ask } = await contextWith();
    await assert.rejects(ask('consume', { ...all, topics: 'order' }), {
      code: 'topic_missing',
      facts: { topic: 'order' },
    });
  });
});

describe('store operations', () => {
  const served = async () => {
    const given = await contextWith();
    await given.store.commit({
      task: 't',
      from: {},
      to: { a: 1 },
      state: [],
      served: [
        { op: 'put', key: 'order:1', value: '{}', expiresAtMs: NOW_MS + 5 },
        { op: 'put', key: 'order:2', value: 'gone', expiresAtMs: NOW_MS },
        { op: 'setAdd', key: 'order:3:items', member: 'x' },
        { op: 'put', key: 'customer:1', value: '1' },
      ],
      outgoing: [],
    });
    return given;
  };

  test('get tells a value with its expiry, a set, and what is absent', async () => {
    const { ask } = await served();
    assert.deepEqual(await ask('store.get', { key: 'order:1' }), [
      { key: 'order:1', type: 'string', value: '{}', expiresAtMs: NOW_MS + 5 },
    ]);
    assert.deepEqual(await ask('store.get', { key: 'order:3:items' }), [
      { key: 'order:3:items', type: 'set', members: ['x'] },
    ]);
    assert.deepEqual(await ask('store.get', { key: 'order:2' }), [
      { key: 'order:2', type: 'absent' },
    ]);
  });

  test('keys takes a prefix or a pattern, scan gives values too', async () => {
    const { ask } = await served();
    assert.deepEqual(await ask('store.keys', { pattern: 'order:' }), [
      { key: 'order:1' },
      { key: 'order:3:items' },
    ]);
    assert.deepEqual(await ask('store.keys', { pattern: 'order:?' }), [{ key: 'order:1' }]);
    assert.deepEqual(
      (await ask('store.scan', { pattern: '*:1' })).map(({ key, type }) => [key, type]),
      [
        ['customer:1', 'string'],
        ['order:1', 'string'],
      ],
    );
    assert.equal((await ask('store.keys', { pattern: '', limit: 2 })).length, 2);
  });
});

describe('status', () => {
  const generator: Status = {
    component: 'generator',
    atMs: NOW_MS,
    state: 'running',
    batches: 1,
    rows: 5,
  };

  test('tells what parts published last, when nothing runs', async () => {
    const { context, log, ask } = await contextWith();
    const told = new AbortController();
    let rows = 1;
    const part = { name: 'generator', run: async () => {}, status: () => ({ ...generator, rows }) };
    const publisher = new StatusPublisher('test', log, [part]).run(told.signal);
    rows = 9;
    told.abort();
    await publisher;
    await context.statuses.load();
    const [report] = await ask('status', {});
    assert.equal(report?.running, false);
    assert.equal(report?.generator?.rows, 9);
    assert.equal(report?.topics.length, 6);
  });

  test('a board waits for a status and then knows it', async () => {
    const { context, log } = await contextWith();
    const stop = new AbortController();
    const running = context.statuses.run(stop.signal);
    const found = context.statuses.until(() => context.statuses.generator, never);
    const part = { name: 'generator', run: async () => {}, status: () => generator };
    const publishing = new StatusPublisher('test', log, [part]).run(stop.signal);
    assert.equal((await found).rows, 5);
    stop.abort();
    await Promise.all([running, publishing]);
  });
});

describe('operations that need running parts', () => {
  test('say that nothing runs', async () => {
    const { ask } = await contextWith();
    for (const name of ['reconcile', 'stop', 'source', 'connector.pause'] as const)
      await assert.rejects(ask(name, {}), { code: 'not_running' }, name);
  });

  test('an unknown operation is refused with the names there are', async () => {
    const { context } = await contextWith();
    const answer = Array.fromAsync(answerOperation('toString', {}, context, never));
    await assert.rejects(answer, { code: 'usage' });
  });
});

describe('operations on parts that run elsewhere', () => {
  const connector = readConnectorConfig(
    JSON.parse(
      readFileSync(new URL('../../../pipelines/shop/connector.json', import.meta.url), 'utf8'),
    ),
    {
      POSTGRES_HOST: 'h',
      POSTGRES_PORT: '1',
      POSTGRES_USER: 'u',
      POSTGRES_PASSWORD: '',
      POSTGRES_DB: 'd',
    },
  );

  async function elsewhere() {
    const given = await contextWith({ [`${connector.topicPrefix}.public.orders`]: 1 });
    const { context, log } = given;
    const running: RunningParts = {
      pipeline: { name: 'shop', processors: [{ name: 'cdc', topics: [], process: () => {} }] },
      connector,
      engine: 'native',
      source: { kind: 'server', host: 'h', port: 1, database: 'd', user: 'u', url: '' },
      openSource: () => assert.fail('nobody asks the source'),
      commands: new CommandSender(log, context.clock),
      rates: () => context.statuses.rates(),
      failures: () => [],
      waitingFor: () => undefined,
    };
    const answers = <Name extends OperationName>(name: Name, args: ArgumentsOf<Name>) =>
      Array.fromAsync(answerOperation(name, args, { ...context, running }, never));
    return { ...given, answers };
  }

  test('say so where nobody is there to obey', async () => {
    const { answers } = await elsewhere();
    await assert.rejects(answers('connector.pause', {}), {
      code: 'not_running',
      facts: {
        expected: 'a process that runs it: `millrace run capture`',
        found: 'none of connector',
      },
    });
    await assert.rejects(answers('dlq.replay', { processor: 'cdc', all: true }), {
      code: 'not_running',
      facts: {
        expected: 'a process that runs it: `millrace run stream`',
        found: 'none of processor:cdc',
      },
    });
    await assert.rejects(answers('stop', {}), { code: 'not_running' });
  });

  test('have tables copied by their names or topics, and no others', async () => {
    const { answers } = await elsewhere();
    await assert.rejects(answers('connector.copy', { tables: ['public.orders', 'public.x'] }), {
      code: 'usage',
      facts: {
        expected: 'tables as schema.table, or topics: dbserver1.public.orders',
        found: 'public.x',
      },
    });
  });

  test('need a store only where they read it', async () => {
    const { context } = await elsewhere();
    const without = { ...context, store: undefined };
    const get = answerOperation('store.get', { key: 'x' }, without, never);
    await assert.rejects(Array.fromAsync(get), { code: 'config_invalid' });
    assert.equal((await Array.fromAsync(answerOperation('status', {}, without, never))).length, 1);
  });
});
