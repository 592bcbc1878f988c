import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { contents, eventually, headersOf, textOf } from '../../../test/stream.ts';
import { blocksOf } from '../../domain/record-block.ts';
import { Bell } from '../../lib/bell.ts';
import { must } from '../../lib/must.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import { openLog, openStore, type Part, topicsOf } from '../compose.ts';
import { type Config, readConfig } from '../config/config.ts';
import { loadPipeline, serverOf } from '../config/load-pipeline.ts';
import { runParts } from './run-parts.ts';
import { StatusBoard } from '../status/status-board.ts';
import { type StreamTask, streamThreads } from './stream-threads.ts';
import type { PartState } from './worker-messages.ts';

const PIPELINE_DIR = join(import.meta.dirname, '../../../test/pipelines/struck');
const INPUT = 'dbserver1.public.payments';
const PARTITIONS = 4;
const RECORDS = 2000;

describe('threads of the stream role', () => {
  let alone: Awaited<ReturnType<typeof computedBy>>;
  before(async () => {
    alone = await computedBy(1);
    assert.deepEqual(alone.tasks, {});
  });

  test('take in each record once, as one thread does, also when one of them dies', async () => {
    const three = await computedBy(3, 'lightning');
    assert.deepEqual(three.results, alone.results);
    assert.deepEqual(new Set(Object.values(three.tasks)), new Set(['t1', 't2', 't3']));
    assert.equal(three.failures.length, 1);
    assert.match(three.failures[0] ?? '', /^stream in t[123]$/);
  });

  test('do so also when one hangs, and is ended in the middle of its work', async () => {
    const two = await computedBy(2, 'paralysis');
    assert.deepEqual(two.results, alone.results);
    assert.deepEqual(two.failures, []);
  });

  test('end with their failure, where they are to, once their processors could not go on', async () => {
    await using place = await Place.make(1, []);
    await pay(place.log);
    const [part] = place.threads(() => {}, { endsWhenAllFail: true });
    // There is no topic for what they put out.
    await assert.rejects(must(part, 'there is one').run(place.signal), { code: 'topic_missing' });
  });

  test('run only the processors that are named', async () => {
    await using place = await Place.make(1);
    const [part] = place.threads(() => {}, { processors: ['other'] });
    await assert.rejects(must(part, 'there is one').run(place.signal), { code: 'usage' });
  });
});

/** What so many threads make of the same records. */
async function computedBy(threads: number, by?: 'lightning' | 'paralysis') {
  await using place = await Place.make(threads);
  const { log, store, signal } = place;
  const statuses = new StatusBoard(log);
  const following = statuses.run(signal);
  const failures: string[] = [];
  const parts = place.threads((part, state) => {
    if ('failure' in state) failures.push(part);
  });
  const run = (until: AbortSignal) =>
    runParts(
      parts,
      [],
      (part, state) => {
        if ('error' in state) failures.push(part);
      },
      until,
    );
  const file = join(place.dir, 'struck');
  await pay(log, by && { file, by });
  if (by === 'paralysis') {
    const stop = new AbortController();
    const running = run(AbortSignal.any([signal, stop.signal]));
    await eventually(async () => existsSync(file) || undefined);
    stop.abort();
    await running;
  }
  const running = run(signal);
  const done = await statuses.until(() => {
    const now = statuses.processor('struck');
    const partitions = now?.tasks.flatMap((task) => task.partitions) ?? [];
    const isDone = partitions.every(({ offset, end }) => offset === end && end > 0);
    return isDone && partitions.length === PARTITIONS ? now : undefined;
  }, AbortSignal.timeout(30_000));
  await eventually(async () => (await totals(log)).length >= RECORDS || undefined);
  assert.equal(existsSync(file), by !== undefined);
  const results = await resultsOf(log, store);
  place.stop();
  await Promise.all([running, following]);
  const tasks = done.tasks.filter(({ worker }) => worker !== undefined);
  return {
    results,
    failures,
    tasks: Object.fromEntries(tasks.map(({ task, worker }) => [task, worker])),
  };
}

/** A data directory with log and store; gone when disposed, and threads stopped. */
class Place implements AsyncDisposable {
  readonly dir: string;
  readonly log: EventLog;
  readonly store: Store;
  readonly #config: Config;
  readonly #wake: SharedArrayBuffer;
  readonly #stopping = new AbortController();

  private constructor(config: Config, wake: SharedArrayBuffer, log: EventLog, store: Store) {
    this.dir = config.dataDir;
    this.#config = config;
    this.#wake = wake;
    this.log = log;
    this.store = store;
  }

  static async make(threads: number, outputs = ['totals']): Promise<Place> {
    const dataDir = await mkdtemp(join(tmpdir(), 'millrace-threads-'));
    const config = readConfig({ MILLRACE_STREAM_THREADS: String(threads) }, { dataDir });
    const wake = Bell.memory();
    const log = await openLog(config, wake);
    await log.createTopics([
      ...topicsOf(await loadPipeline(PIPELINE_DIR, {})),
      ...outputs.map((name) => ({ name, partitions: 1, cleanup: 'delete' }) as const),
    ]);
    return new Place(config, wake, log, await openStore(config));
  }

  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  threads(
    onPart: (part: string, state: PartState) => void,
    how: Partial<Pick<StreamTask, 'processors' | 'endsWhenAllFail'>> = {},
  ): Part[] {
    const config = this.#config;
    const task = {
      pipelineDir: PIPELINE_DIR,
      places: config,
      stream: config.stream,
      wake: this.#wake,
      environment: {},
      server: serverOf(config.source),
      source: config.source,
      adoptSlot: false,
      engine: { kind: 'native' },
      processors: [],
      endsWhenAllFail: false,
      worker: undefined,
      ...how,
    } as const;
    return streamThreads(task, onPart);
  }

  stop(): void {
    this.#stopping.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.store[Symbol.asyncDispose]();
    await this.log[Symbol.asyncDispose]();
    await rm(this.dir, { recursive: true, force: true });
  }
}

async function pay(log: EventLog, strike?: Readonly<{ file: string; by: string }>): Promise<void> {
  const producer = await log.openProducer('test');
  const records = Array.from({ length: RECORDS }, (_, index) => {
    const after = { amount: index, ...(index === RECORDS / 2 && strike) };
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
