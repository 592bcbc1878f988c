import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDbEngine } from '../src/adapters/duckdb/engine.ts';
import { MemoryEventLog } from '../src/adapters/memory/event-log.ts';
import { SHOP_MODES } from '../src/batch/lake/column-type.ts';
import { LakeWriter, type LakeWriterOptions } from '../src/batch/lake/lake-writer.ts';
import { Lake } from '../src/batch/lake/lake.ts';
import type { Manifest } from '../src/batch/lake/manifest.ts';
import type { SourceTable } from '../src/batch/lake/writer/source-table.ts';
import type { Operation, Row } from '../src/domain/envelope.ts';
import { blocksOf } from '../src/domain/record-block.ts';
import type { LakeWriterStatus } from '../src/domain/status.ts';
import { systemClock } from '../src/lib/clock.ts';
import type { EventLog } from '../src/ports/event-log.ts';
import type { SqlRows } from '../src/ports/sql-engine.ts';

/** For tests of the lake's writer: a log, a lake in a folder of its own, and an engine to read it. */

export const ORDERS = 'shop.public.orders';
export const MESSAGES = 'shop.message';
export const LAKE_DEAD = 'lake.dead-letters';

export type GivenEvent = Readonly<{
  key?: unknown;
  /** Text stands for itself. */
  value: unknown;
  topic?: string;
  partition?: number;
}>;

/** The commit time of events that say nothing else: 2026-11-23 12:00:00 UTC. */
export const NOON_MS = Date.UTC(2026, 10, 23, 12);

export function event(
  op: Operation,
  rows: Readonly<{ before?: Row | null; after?: Row | null }>,
  source: Readonly<Record<string, unknown>> = {},
): GivenEvent {
  const { before = null, after = null } = rows;
  const id = (after ?? before)?.['id'];
  const ms = typeof source['ts_ms'] === 'number' ? source['ts_ms'] : NOON_MS;
  const own = { schema: 'public', table: 'orders', ts_ms: ms, ts_us: ms * 1000, txId: 1, lsn: 7 };
  const value = { before, after, source: { ...own, snapshot: 'false', ...source }, op, ts_ms: ms };
  return { key: id === undefined ? null : { id }, value };
}

export async function append(log: EventLog, given: readonly GivenEvent[]): Promise<void> {
  const producer = await log.openProducer('test');
  const records = given.map(({ key = null, value, topic = ORDERS, partition = 0 }) => ({
    topic,
    partition,
    record: { timestampMs: 7, key: bytes(key), value: bytes(value), headers: [] },
  }));
  await producer.append(blocksOf(records));
}

function bytes(value: unknown): Buffer | null {
  if (value === null || Buffer.isBuffer(value)) return value;
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
}

/** A table with a column `id integer`, and these. */
export function ordersTable(columns: Readonly<Record<string, string>>): SourceTable {
  const all = { id: 'integer', ...columns };
  return {
    schema: 'public',
    name: 'orders',
    key: ['id'],
    columns: Object.entries(all).map(([name, sqlType]) => ({ name, sqlType })),
  };
}

export type LakeTest = AsyncDisposable &
  Readonly<{
    dir: string;
    lake: Lake;
    log: EventLog;
    engine: DuckDbEngine;
    statuses: LakeWriterStatus[];
    /** Topics that a copy was asked for. */
    asked: string[];
    /** Runs a writer until it has written all that is in the log. */
    write: (options?: Partial<LakeWriterOptions>) => Promise<Manifest>;
    /** Runs one meanwhile. */
    start: (options?: Partial<LakeWriterOptions>) => RunningWriter;
    /** All changes of a table, by offset; `columns` as SQL. */
    changes: (columns: string, topic?: string) => Promise<SqlRows['rows']>;
  }>;

export type RunningWriter = AsyncDisposable &
  Readonly<{ writer: LakeWriter; ended: Promise<void> }>;

export async function lakeTest(
  table: SourceTable | undefined | ((topic: string) => SourceTable | undefined),
  {
    log: given,
    partitions = 1,
    dir: givenDir,
  }: { log?: EventLog; partitions?: number; dir?: string } = {},
): Promise<LakeTest> {
  await using resources = new AsyncDisposableStack();
  const dir = givenDir ?? (await mkdtemp(join(tmpdir(), 'millrace-lake-')));
  if (givenDir === undefined) resources.defer(() => rm(dir, { recursive: true, force: true }));
  const log = given ?? resources.use(new MemoryEventLog());
  if (given === undefined)
    await log.createTopics([
      { name: ORDERS, partitions, cleanup: 'delete' },
      { name: MESSAGES, partitions: 1, cleanup: 'delete' },
    ]);
  const lake = await Lake.open(join(dir, 'lake'));
  const engineOptions = { memoryLimit: '256MB', threads: 2, tempDirectory: join(dir, 'spill') };
  const engine = resources.use(await DuckDbEngine.open(engineOptions));
  const statuses: LakeWriterStatus[] = [];
  const asked: string[] = [];
  const start = (options: Partial<LakeWriterOptions> = {}): RunningWriter => {
    const writer = new LakeWriter({
      lake,
      log,
      engine,
      clock: systemClock,
      isTable: (topic) => topic.startsWith('shop.public.'),
      messageTopic: MESSAGES,
      deadLetterTopic: LAKE_DEAD,
      describe: async (topic) => (typeof table === 'function' ? table(topic) : table),
      onMissingHistory: async (topic) => void asked.push(topic),
      modes: SHOP_MODES,
      flushEveryMs: 60_000,
      onStatus: (status) => statuses.push(status),
      ...options,
    });
    const stop = new AbortController();
    const ended = writer.run(stop.signal);
    // Whoever waits for it is told.
    ended.catch(() => {});
    return {
      writer,
      ended,
      async [Symbol.asyncDispose]() {
        stop.abort();
        await ended.catch(() => {});
      },
    };
  };
  const write = async (options?: Partial<LakeWriterOptions>): Promise<Manifest> => {
    await using running = start(options);
    return await running.writer.flush();
  };
  const changes = async (columns: string, topic = ORDERS): Promise<SqlRows['rows']> => {
    const files = (await lake.manifest()).tables[topic]?.changes ?? [];
    const paths = files.map(({ path }) => `'${lake.path(path)}'`);
    const from = `read_parquet([${paths.join(', ')}], union_by_name = true)`;
    const sql = `SELECT ${columns} FROM ${from} ORDER BY __partition, __offset, __op DESC`;
    return (await engine.query(sql)).rows;
  };
  const owned = resources.move();
  return {
    dir,
    lake,
    log,
    engine,
    statuses,
    asked,
    start,
    write,
    changes,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
