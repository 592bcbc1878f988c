import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { DuckDbEngine } from '../../src/adapters/duckdb/engine.ts';
import { LmdbEventLog } from '../../src/adapters/lmdb/event-log.ts';
import { Lake } from '../../src/batch/lake/lake.ts';
import { must } from '../../src/lib/must.ts';
import { readTo } from '../../src/ports/read-to.ts';
import { eventAt, ORDERS, PARTITIONS } from '../lake-events.ts';
import { seededRandom } from '../random.ts';

export type LakeKillsPlan = Readonly<{ seed: number; kills: number }>;

/**
 * Kills a writer of a lake at random instants; the lake then has all records of the log up to its
 * offsets, each once, as they were, and in the end all there are.
 */
export async function killLakeWriter(
  { seed, kills }: LakeKillsPlan,
  signal: AbortSignal,
): Promise<Readonly<{ records: number; versions: number }>> {
  const random = seededRandom(seed);
  const dir = await mkdtemp(join(tmpdir(), 'millrace-lake-kills-'));
  try {
    for (let kill = 0; kill < kills; kill += 1) {
      await runUntilKilled(dir, Math.floor(random() * 700), signal);
      await checkLake(dir, 'some');
    }
    await runToEnd(dir, signal);
    return await checkLake(dir, 'all');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function runUntilKilled(dir: string, afterMs: number, signal: AbortSignal): Promise<void> {
  const program = new URL('../programs/lake-write.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  try {
    // The end of its life counts from its first work, or no kill would meet any.
    await Promise.race([once(child.stdout, 'data'), ended, wait(3000, undefined, { signal })]);
    await wait(afterMs, undefined, { signal });
    assert.equal(child.exitCode, null, 'the writer works until it is killed');
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

async function runToEnd(dir: string, signal: AbortSignal): Promise<void> {
  const program = new URL('../programs/lake-write.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, dir, 'finish'], { stdio: 'inherit', signal });
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, 0);
}

async function checkLake(
  dir: string,
  howMuch: 'some' | 'all',
): Promise<Readonly<{ records: number; versions: number }>> {
  const lake = await Lake.open(join(dir, 'lake'));
  const { tables, version } = await lake.manifest();
  const table = tables[ORDERS];
  if (table === undefined) return { records: 0, versions: version };
  const found = await lakeRows(
    lake,
    dir,
    table.changes.map(({ path }) => lake.path(path)),
  );
  await using log = await LmdbEventLog.open({
    dir: join(dir, 'log'),
    retention: { ms: 3_600_000, bytes: 1 << 30 },
  });
  let at = 0;
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const { end } = await log.offsets({ topic: ORDERS, partition });
    const upTo: number = table.offsets[partition] ?? 0;
    assert.ok(upTo <= end);
    if (howMuch === 'all') assert.equal(upTo, end);
    const from = { topic: ORDERS, partition, offset: 0 };
    const { signal } = new AbortController();
    for await (const records of readTo(log, from, upTo, signal))
      for (const { offset, value } of records) {
        if (value === null) continue;
        assert.deepEqual(found[at], expectedRow(partition, offset, value));
        at += 1;
      }
  }
  assert.equal(found.length, at);
  return { records: at, versions: version };
}

async function lakeRows(
  lake: Lake,
  dir: string,
  files: readonly string[],
): Promise<readonly (readonly unknown[])[]> {
  if (files.length === 0) return [];
  const tempDirectory = join(dir, 'spill-of-check');
  await using engine = await DuckDbEngine.open({ memoryLimit: '256MB', tempDirectory });
  const { rows } = await engine.query(
    `SELECT __partition, __offset, __op, id, total, note, __unfit, __tx, epoch_ms(__commit_time)
    FROM read_parquet([${files.map((file) => `'${file}'`).join(', ')}]) ORDER BY 1, 2`,
  );
  return rows;
}

/** What the lake has for a record; its transaction tells which it is. */
function expectedRow(partition: number, offset: number, value: Uint8Array): unknown[] {
  const event = JSON.parse(Buffer.from(value).toString()) as {
    op: string;
    before: Row | null;
    after: Row | null;
    source: { txId: number; ts_ms: number };
  };
  const { op, source } = event;
  assert.deepEqual(Buffer.from(value), eventAt(source.txId).value);
  const { id, total, note } = must(event.after ?? event.before, 'an event here has a row');
  const fits = total !== 'NAN';
  return [
    partition,
    offset,
    op,
    id,
    fits ? total : null,
    note,
    fits ? null : '{"total":"NaN"}',
    source.txId,
    source.ts_ms,
  ];
}

type Row = Readonly<{ id: number; total: string; note: string }>;
