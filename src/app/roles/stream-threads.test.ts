import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { contents, eventually, headersOf, textOf } from '../../../test/stream.ts';
import { blocksOf } from '../../domain/record-block.ts';
import { Bell } from '../../lib/bell.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import { openLog, openStore, topicsOf } from '../compose.ts';
import { readConfig } from '../config/config.ts';
import { loadPipeline, serverOf } from '../config/load-pipeline.ts';
import { runParts } from './run-parts.ts';
import { StatusBoard } from '../status/status-board.ts';
import { streamThreads } from './stream-threads.ts';

const PIPELINE_DIR = join(import.meta.dirname, '../../../test/pipelines/struck');
const INPUT = 'dbserver1.public.payments';
const PARTITIONS = 4;
const RECORDS = 2000;

describe('threads of the stream role', () => {
  test('take in each record once, as one thread does, also when one of them dies', async () => {
    const alone = await computedBy(1, false);
    assert.deepEqual(alone.tasks, {});
    const three = await computedBy(3, true);
    assert.deepEqual(three.results, alone.results);
    assert.deepEqual(new Set(Object.values(three.tasks)), new Set(['t1', 't2', 't3']));
    assert.equal(three.failures.length, 1);
    assert.match(three.failures[0] ?? '', /^stream in t[123]$/);
  });
});

/** What so many threads make of the same records. */
async function computedBy(threads: number, isStruck: boolean) {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-threads-'));
  const wake = Bell.memory();
  const config = readConfig({ MILLRACE_STREAM_THREADS: String(threads) }, { dataDir: dir });
  const stop = new AbortController();
  const failures: string[] = [];
  try {
    await using log = await openLog(config, wake);
    await using store = await openStore(config);
    await log.createTopics([
      ...topicsOf(await loadPipeline(PIPELINE_DIR, {})),
      { name: 'totals', partitions: 1, cleanup: 'delete' },
    ]);
    const statuses = new StatusBoard(log);
    const following = statuses.run(stop.signal);
    const parts = streamThreads(
      {
        pipelineDir: PIPELINE_DIR,
        places: config,
        stream: config.stream,
        wake,
        environment: {},
        server: serverOf(config.source),
        source: config.source,
        adoptSlot: false,
        engine: { kind: 'native' },
        worker: undefined,
      },
      (part, state) => {
        if ('failure' in state) failures.push(part);
      },
    );
    const running = runParts(
      parts,
      [],
      (part, state) => {
        if ('error' in state) failures.push(part);
      },
      stop.signal,
    );
    const file = join(dir, 'struck');
    await pay(log, isStruck ? file : undefined);
    const done = await statuses.until(() => {
      const now = statuses.processor('struck');
      const partitions = now?.tasks.flatMap((task) => task.partitions) ?? [];
      const isDone = partitions.every(({ offset, end }) => offset === end && end > 0);
      return isDone && partitions.length === PARTITIONS ? now : undefined;
    }, AbortSignal.timeout(30_000));
    await eventually(async () => (await totals(log)).length >= RECORDS || undefined);
    assert.equal(existsSync(file), isStruck);
    const results = await resultsOf(log, store);
    stop.abort();
    await Promise.all([running, following]);
    const tasks = done.tasks.filter(({ worker }) => worker !== undefined);
    return {
      results,
      failures,
      tasks: Object.fromEntries(tasks.map(({ task, worker }) => [task, worker])),
    };
  } finally {
    stop.abort();
    await rm(dir, { recursive: true, force: true });
  }
}

async function pay(log: EventLog, file: string | undefined): Promise<void> {
  const producer = await log.openProducer('test');
  const records = Array.from({ length: RECORDS }, (_, index) => {
    const after = { amount: index, ...(file !== undefined && index === RECORDS / 2 && { file }) };
    const source = { schema: 'public', table: 'payments', ts_ms: index, txId: 1, lsn: 1 };
    const value = { op: 'c', before: null, after, source: { ...source, snapshot: 'false' } };
    const record = {
      timestampMs: index,
      key: Buffer.from(JSON.stringify({ id: index % 40 })),
      value: Buffer.from(JSON.stringify(value)),
      headers: [],
    };
    return { topic: INPUT, partition: index % PARTITIONS, record };
  });
  const { length } = records;
  for (let at = 0; at < length; at += 100)
    await producer.append(blocksOf(records.slice(at, at + 100)));
  await producer.close();
}

const totals = (log: EventLog) => contents(log, 'totals');

/** State, served keys, and what was put out with its identity. */
async function resultsOf(log: EventLog, store: Store) {
  const state = [];
  for (const task of await store.tasks())
    state.push([task, await Array.fromAsync(store.range(task, '{'))]);
  const put = (await totals(log)).map(
    (each) => [headersOf(each)['millrace.id'] ?? '', textOf(each.value)] as const,
  );
  assert.equal(put.length, RECORDS);
  return { state, put: new Map(put), payments: await store.get('payments', 0) };
}
