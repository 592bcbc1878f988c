import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { blocksOf } from '../../domain/record-block.ts';
import type { Processor } from '../../stream/processor.ts';
import { composeProcessors, topicsOf } from '../compose.ts';
import type { Pipeline } from '../pipeline.ts';
import { StatusBoard } from '../status/status-board.ts';
import { StatusPublisher } from '../status/status-publisher.ts';
import { answerOperation } from './answer.ts';
import type { OperationContext, RunningParts } from './operation-context.ts';
import type { ReplayArguments, ReplayEvent } from './operations.ts';

const ORDERS = 'shop.orders';

/** Each order under its own key; the figure is the code's. */
function ordersTimes(figure: number): Processor {
  return {
    name: 'orders',
    topics: [ORDERS],
    serves: ['order:', 'orders'],
    process({ key, after }, context) {
      const { id } = key as { id: number };
      const { amount } = after as { amount: number };
      context.serve({ op: 'put', key: `order:${id}`, value: String(amount * figure) });
      context.serve({ op: 'add', key: 'orders', amount: '1' });
    },
  };
}

async function scene(figure: number, { partitions = 1 } = {}) {
  const log = new MemoryEventLog();
  const store = new MemoryStore();
  const pipelineOf = (times: number): Pipeline => ({
    name: 'shop',
    processors: [ordersTimes(times)],
    partitions: { [ORDERS]: partitions },
  });
  await log.createTopics(topicsOf(pipelineOf(figure)));
  const producer = await log.openProducer('test');
  const append = async (count: number): Promise<void> => {
    const source = { schema: 'public', table: 'orders', ts_ms: 1, txId: 1, lsn: 1 };
    const records = Array.from({ length: count }, (_, id) => {
      const value = { op: 'c', before: null, after: { id, amount: 10 }, source };
      return {
        topic: ORDERS,
        partition: id % partitions,
        record: {
          timestampMs: 1000 * (id + 1),
          key: Buffer.from(JSON.stringify({ id })),
          value: Buffer.from(JSON.stringify(value)),
          headers: [],
        },
      };
    });
    await producer.append(blocksOf(records));
  };
  const run = (times: number) => {
    const stop = new AbortController();
    const statuses = new StatusBoard(log);
    const parts = composeProcessors(pipelineOf(times), { log, store }, { bufferRecords: 100 });
    const publisher = new StatusPublisher('test', log, parts);
    const running = [...parts, publisher, statuses].map((part) => part.run(stop.signal));
    const parties = { pipeline: pipelineOf(times), waitingFor: () => undefined };
    const context: OperationContext = {
      dataDir: '/data',
      log,
      store,
      statuses,
      clock: Date.now,
      running: parties as unknown as RunningParts,
    };
    const ask = (args: Omit<ReplayArguments, 'processor'>): Promise<ReplayEvent[]> => {
      const all = { processor: 'orders', ...args };
      const signal = AbortSignal.timeout(20_000);
      const answers = answerOperation('replay', all, context, signal);
      return Array.fromAsync(answers as AsyncIterable<ReplayEvent>);
    };
    return {
      ask,
      statuses,
      until: (count: number) =>
        statuses.until(() => {
          const now = statuses.processor('orders');
          const places = now?.tasks.flatMap((task) => task.partitions) ?? [];
          const done = places.reduce((sum, { offset }) => sum + offset, 0);
          return done >= count ? now : undefined;
        }, AbortSignal.timeout(20_000)),
      [Symbol.asyncDispose]: async () => {
        stop.abort();
        await Promise.all(running);
      },
    };
  };
  const servedText = async (key: string): Promise<string | undefined> => {
    const found = await store.get(key, 0);
    return found?.type === 'string' ? found.value : undefined;
  };
  return { append, run, servedText };
}

describe('millrace replay', () => {
  test('builds the results anew with the code of now, and tells how that goes', async () => {
    const { append, run, servedText } = await scene(1);
    await append(9);
    {
      await using first = run(1);
      await first.until(9);
    }
    await using second = run(2);
    await second.until(9);
    assert.equal(await servedText('order:3'), '10');
    const events = await second.ask({ from: 'beginning', wait: true });
    assert.deepEqual(
      [events.at(0), events.at(-1)].map((event) => [event?.kind, event?.generation]),
      [
        ['asked', 2],
        ['done', 2],
      ],
    );
    assert.equal(await servedText('order:3'), '20');
    assert.equal(await servedText('orders'), '9');
  });

  test('begins at a time, or at offsets', async () => {
    const { append, run, servedText } = await scene(1, { partitions: 2 });
    await append(10);
    await using running = run(1);
    await running.until(10);
    await running.ask({ from: { timestampMs: 7000 }, wait: true });
    assert.equal(await servedText('orders'), '4');
    assert.equal(await servedText('order:2'), undefined);
    await running.ask({ from: { offsets: { [`${ORDERS}-1`]: 4 } }, wait: true });
    assert.equal(await servedText('orders'), '6');
    await running.ask({ from: 'end', wait: true });
    assert.equal(await servedText('orders'), undefined);
    const bad = [
      { offset: 3 },
      { offsets: { 'other-0': 1 } },
      { offsets: { [`${ORDERS}-0`]: 99 } },
    ];
    for (const from of bad) {
      await assert.rejects(running.ask({ from, wait: false }), { code: 'usage' });
    }
  });
});
