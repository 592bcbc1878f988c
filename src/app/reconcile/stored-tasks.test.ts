import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../adapters/memory/store.ts';
import type { ProcessorStatus } from '../../domain/status.ts';
import { withStoredTasks } from './stored-tasks.ts';

const CDC: ProcessorStatus = {
  component: 'processor:cdc',
  name: 'cdc',
  atMs: 0,
  state: 'running',
  records: 0,
  parked: 0,
  late: 0,
  tasks: [
    {
      task: 'cdc/orders-0',
      worker: 'a',
      partitions: [{ topic: 'orders', partition: 0, offset: 7, end: 7 }],
    },
  ],
};

const topicOf = (topic: string, ends: readonly number[]) => ({
  topic,
  cleanup: 'delete' as const,
  partitions: ends.map((end, partition) => ({ partition, start: 2, end })),
  records: 0,
});

test('a processor has a task for each partition of its topics, whoever runs it', async () => {
  const store = new MemoryStore();
  for (const [task, id, offset] of [
    ['cdc/orders-0', 'orders-0', 9],
    ['cdc/orders-1', 'orders-1', 4],
    ['cdc/items-0', 'items-0', 3],
    ['other/else-0', 'else-0', 1],
  ] as const) {
    const nothing = { state: [], served: [], outgoing: [] };
    await store.commit({ task, from: {}, to: { [id]: offset }, ...nothing });
  }
  const topics = [topicOf('else', [5]), topicOf('items', [3]), topicOf('orders', [8, 6, 2])];
  const [cdc] = await withStoredTasks([CDC], topics, store);
  assert.deepEqual(
    cdc?.tasks.map(({ task, worker, partitions: [place] }) => [
      task,
      worker,
      place?.offset,
      place?.end,
    ]),
    [
      ['cdc/items-0', undefined, 3, 3],
      // What the store holds is newer than what was told, and than the end.
      ['cdc/orders-0', 'a', 9, 9],
      ['cdc/orders-1', undefined, 4, 6],
      ['cdc/orders-2', undefined, 2, 2],
    ],
  );
});
