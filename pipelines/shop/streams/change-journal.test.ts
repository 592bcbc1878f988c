import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Change } from '../../../src/index.ts';
import { ChangeJournal } from './change-journal.ts';
import { MemoryTasks } from './memory-tasks.ts';

const TASK = 'dbserver1.public.orders-0';

function change(id: number, atMs: number, op: Change['op'] = 'u'): Change {
  return {
    op,
    before: null,
    after: { id },
    key: { id },
    source: { schema: 'public', table: 'orders', ts_ms: atMs, txId: 1, lsn: 1, snapshot: 'false' },
    topic: 'dbserver1.public.orders',
    partition: 0,
    offset: 0,
  };
}

function journalOf(options: { capacity?: number; chunk?: number }): MemoryTasks {
  const journal = new ChangeJournal(options);
  return new MemoryTasks({
    name: 'journal',
    topics: [],
    reads: (each) => journal.keys(each),
    process: (each, context) => journal.record(each, context),
  });
}

test('a change is served under table, commit time, operation, row and count', async () => {
  const tasks = journalOf({});
  await tasks.process({ ...change(5, 1000), ts_ms: 1250 }, change(5, 1000, 'd'), change(5, 1001));
  assert.deepEqual(tasks.keys('cdc:change:'), [
    'cdc:change:orders:1000:d:5-1',
    'cdc:change:orders:1000:u:5-0',
    'cdc:change:orders:1001:u:5-0',
  ]);
  assert.deepEqual(JSON.parse(tasks.values.get('cdc:change:orders:1000:u:5-0') ?? ''), {
    operation: 'u',
    table: 'orders',
    timestamp: 1000,
    before: null,
    after: { id: 5 },
    processed_at: '1970-01-01T00:00:01.250Z',
  });
  assert.equal(tasks.expiries.get('cdc:change:orders:1000:u:5-0'), 3_601_000);
});

test('the newest changes stay, and neither keys nor state grow beyond them', async () => {
  const moment = fc.record({
    id: fc.integer({ min: 1, max: 3 }),
    atMs: fc.integer({ min: 1, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(moment, { maxLength: 120, size: 'max' }), async (moments) => {
      const tasks = journalOf({ capacity: 20, chunk: 5 });
      const recorded: string[] = [];
      for (const { id, atMs } of moments) {
        const before = new Set(tasks.keys('cdc:change:'));
        await tasks.process(change(id, atMs));
        const added = tasks.keys('cdc:change:').filter((key) => !before.has(key));
        assert.equal(added.length, 1, 'a change never writes over another that is still served');
        recorded.push(...added);
        assert.deepEqual(tasks.keys('cdc:change:'), recorded.slice(-20).toSorted());
      }
      assert.ok(tasks.state(TASK).size <= 3 + 6 + 30);
    }),
    { numRuns: 60 },
  );
});

test('counters of rows and times go when their changes have gone', async () => {
  const tasks = journalOf({ capacity: 20, chunk: 5 });
  for (let id = 1; id <= 200; id += 1) await tasks.process(change(id, id));
  const counters = [...tasks.state(TASK).keys()].filter((key) => key.startsWith('changes/n/'));
  assert.ok(counters.length <= 25, `${counters.length} counters for 20 changes`);
});

test('ten thousand changes a partition stay by default', async () => {
  const tasks = journalOf({});
  for (let id = 1; id <= 10_123; id += 1) await tasks.process(change(id, 7));
  assert.equal(tasks.values.size, 10_000);
  assert.ok(tasks.values.has('cdc:change:orders:7:u:124-0'));
});
