import assert from 'node:assert/strict';
import { test } from 'node:test';
import pc from 'picocolors';
import type { StatusReport } from '../../app/operations/operations.ts';
import { statusLines } from './status.ts';

const REPORT: StatusReport = {
  running: true,
  pid: 7,
  startedAtMs: 0,
  atMs: 61_000,
  dataDir: '/data',
  pipeline: 'shop',
  urls: { postgres: 'postgres://postgres@127.0.0.1:5433/source_db' },
  connector: {
    component: 'connector',
    atMs: 61_000,
    name: 'shop-connector',
    state: 'copying',
    slot: 'millrace_shop',
    publication: 'millrace_shop',
    lagBytes: 2048,
    lagMs: 3,
    changes: 1234,
    copy: [{ table: 'public.orders', rows: 10, estimatedRows: 100, done: false }],
  },
  processors: [
    {
      component: 'processor:cdc',
      atMs: 61_000,
      name: 'cdc',
      state: 'running',
      records: 1000,
      parked: 2,
      late: 0,
      tasks: [
        {
          task: 'cdc/orders-0',
          partitions: [{ topic: 'orders', partition: 0, offset: 1000, end: 1234 }],
        },
      ],
    },
  ],
  rates: { capturedPerSecond: 50, processedPerSecond: { cdc: 49 } },
  topics: [
    {
      topic: 'orders',
      cleanup: 'delete',
      partitions: [{ partition: 0, start: 0, end: 1234 }],
      records: 1234,
    },
  ],
  logBytes: 1 << 20,
  workers: [],
  failures: [{ part: 'generator', message: 'boom' }],
};

test('the status is one screen of aligned facts', () => {
  assert.deepEqual(statusLines(REPORT, pc.createColors(false)), [
    'Millrace    running (pid 7, for 1 min 1 s)',
    'Data        /data',
    'Pipeline    shop',
    'PostgreSQL  postgres://postgres@127.0.0.1:5433/source_db',
    '',
    'CONNECTOR       STATE    SLOT           SLOT LAG  DELAY  COPIED  STREAMED  RATE  CONFIRMED',
    'shop-connector  copying  millrace_shop   2.0 KiB   3 ms      10     1,224  50/s  -',
    '  copying public.orders: 10 rows of about 100',
    '',
    'PROCESSOR  STATE    LAG  RECORDS  RATE  PARKED  LATE',
    'cdc        running  234    1,000  49/s       2     0',
    '',
    'TOPIC   PARTITION  START    END  RECORDS  CLEANUP',
    'orders          0      0  1,234    1,234  delete',
    '',
    'On disk: log 1.0 MiB',
    '',
    'FAILED generator: boom',
  ]);
});

test('what does not run says so', () => {
  const [head] = statusLines(
    { ...REPORT, running: false, processors: [], topics: [], failures: [] },
    pc.createColors(false),
  );
  assert.equal(head, 'Millrace    not running; below is what was last known');
});

test('parts that run in several processes are told with their partitions', () => {
  const { pid: _pid, startedAtMs: _startedAtMs, pipeline: _pipeline, ...rest } = REPORT;
  const [cdc] = REPORT.processors;
  const lines = statusLines(
    {
      ...rest,
      urls: { kafka: 'a:9092,b:9092', redis: 'c:6379' },
      workers: [
        { worker: 'h-1', component: 'connector', state: 'copying', partitions: 0, heardMs: 60_000 },
        {
          worker: 'h-2',
          component: 'processor:cdc',
          state: 'running',
          partitions: 1,
          heardMs: 58_500,
        },
      ],
      processors: cdc === undefined ? [] : [{ ...cdc, tasks: [taskOf(0, 'h-2'), taskOf(1)] }],
      topics: [],
      failures: [],
    },
    pc.createColors(false),
  );
  assert.deepEqual(lines.slice(0, 7), [
    'Millrace    running in 2 processes',
    'Kafka       a:9092,b:9092',
    'Redis       c:6379',
    '',
    'WORKER  RUNS           STATE    PARTITIONS  HEARD',
    'h-1     connector      copying           -  1.0 s ago',
    'h-2     processor cdc  running           1  2.5 s ago',
  ]);
  assert.deepEqual(lines.slice(-6), [
    '',
    'TASK          WORKER  OFFSET  END  LAG',
    'cdc/orders-0  h-2        100  120   20',
    'cdc/orders-1  none       100  120   20',
    '',
    'On disk: log 1.0 MiB',
  ]);
});

function taskOf(partition: number, worker?: string) {
  return {
    task: `cdc/orders-${partition}`,
    ...(worker !== undefined && { worker }),
    partitions: [{ topic: 'orders', partition, offset: 100, end: 120 }],
  };
}

test('shows how far the lake is, and what became of the last run of the models', () => {
  const lines = statusLines(
    {
      ...REPORT,
      lake: {
        component: 'lake-writer',
        atMs: 61_000,
        state: 'running',
        lag: 12,
        rows: 34_567,
        flushedAtMs: 59_000,
        unfitRows: 1,
        deadLetters: 0,
        gone: ['public.baskets'],
      },
      batch: {
        component: 'batch',
        atMs: 61_000,
        state: 'waiting',
        runs: 3,
        failed: 1,
        last: {
          runId: 'r3',
          startedAtMs: 51_000,
          seconds: 0.25,
          models: 6,
          failedModels: ['batch_summary'],
          waiting: [{ name: 'order_analytics', for: 'public.orders is being copied' }],
          warnings: 1,
          errors: 0,
        },
      },
    },
    pc.createColors(false),
  );
  const from = lines.findIndex((line) => line.startsWith('LAKE'));
  assert.deepEqual(lines.slice(from, from + 8), [
    'LAKE     LAG  WRITTEN  CAUGHT UP  UNFIT  DEAD LETTERS',
    'running   12   34,567  2.0 s ago      1             0',
    '  public.baskets is not at the source any more, or not captured: its rows stay as they were',
    '',
    'MODELS   RUNS  FAILED  LAST RUN      TOOK  MADE  TESTS FAILED',
    'waiting     3       1  10.0 s ago  250 ms     6             1',
    '  not made: batch_summary',
    '  order_analytics waits: public.orders is being copied',
  ]);
});
