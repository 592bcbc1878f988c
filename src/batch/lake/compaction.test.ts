import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtempDisposable, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DuckDbEngine } from '../../adapters/duckdb/engine.ts';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import {
  schemaOf,
  type TestChange,
  type TestTable,
  writeChanges,
} from '../../../test/lake-changes.ts';
import { TurnedClock } from '../../../test/stream.ts';
import { compact, type CompactionStep, isCompactionDue } from './compaction.ts';
import { COMPACT_ALL, COMPACTION, mergesOf, neededBases, needsBase } from './compaction-plan.ts';
import { inlineFiles } from './inline-files.ts';
import { Lake } from './lake.ts';
import type { ChangeFile, LakeBase, LakeTable } from './manifest.ts';
import { LakeUpkeep } from './lake-upkeep.ts';
import { stateOf } from './state.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const START_MS = Date.UTC(2026, 0, 10);
const ORDERS: TestTable = {
  topic: 'shop.public.orders',
  schema: 'public',
  name: 'orders',
  key: ['id', 'part'],
  schemas: [schemaOf(0, { id: 'INTEGER', part: 'VARCHAR', total: 'INTEGER' })],
};
const never = new AbortController().signal;

/** Of five rows, one after the other. */
const change = (offset: number, timeMs = START_MS): TestChange => ({
  op: offset < 5 ? 'c' : 'u',
  partition: 0,
  offset,
  timeMs,
  schema: 0,
  row: { id: `${offset % 5}`, part: 'a', total: `${offset}` },
});

async function place() {
  const resources = new AsyncDisposableStack();
  const folder = resources.use(await mkdtempDisposable(join(tmpdir(), 'millrace-compaction-')));
  const lake = await Lake.open(folder.path);
  const tempDirectory = join(folder.path, 'tmp');
  const open = () => DuckDbEngine.open({ memoryLimit: '256MB', tempDirectory });
  const engine = resources.use(await open());
  let next = 0;
  return {
    lake,
    engine,
    open,
    /** A file of each so many changes. */
    async write(files: number, changes = 1, timeMs = START_MS): Promise<void> {
      for (let file = 0; file < files; file += 1) {
        const some = Array.from({ length: changes }, (_, index) => change(next + index, timeMs));
        next += changes;
        await writeChanges(lake, engine, ORDERS, some, { offsets: { 0: next } });
      }
    },
    table: async (): Promise<LakeTable> =>
      must((await lake.manifest()).tables[ORDERS.topic], 'it was written'),
    async totals(sqlEngine: SqlEngine = engine): Promise<unknown[]> {
      const table = must((await lake.manifest()).tables[ORDERS.topic], 'it was written');
      const sql = `SELECT total FROM (${inlineFiles(stateOf(lake, table))}) ORDER BY total`;
      return (await sqlEngine.query(sql)).rows.flat();
    },
    async compact(nowMs: number, retentionMs = 1000 * DAY_MS, policy = COMPACT_ALL) {
      const steps: CompactionStep[] = [];
      const options = { policy, retentionMs, nowMs };
      await compact(lake, engine, options, (step) => steps.push(step), never);
      return steps;
    },
    async filesOnDisk(): Promise<string[]> {
      const all = await readdir(folder.path, { recursive: true });
      return all.filter((name) => name.endsWith('.parquet'));
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

describe('compact', () => {
  test('joins files, writes a base, and deletes what it replaced a while later', async () => {
    await using at = await place();
    await at.write(10, 3);
    const totals = await at.totals();
    const { topic } = ORDERS;
    const now = Date.now();
    assert.deepEqual(await at.compact(now), [
      { did: 'merged', topic, files: 10, rows: 30 },
      { did: 'based', topic, rows: 5 },
    ]);
    assert.deepEqual(await at.totals(), totals);
    assert.equal((await at.filesOnDisk()).length, 12, 'who reads by an older manifest finds them');
    assert.deepEqual(await at.compact(now + 5 * MINUTE_MS), []);
    assert.deepEqual(await at.compact(now + 20 * MINUTE_MS), [{ did: 'removed', files: 10 }]);
    assert.equal((await at.filesOnDisk()).length, 2);
    assert.deepEqual((await at.lake.manifest()).removed, []);
    assert.deepEqual(await at.totals(), totals);
  });

  test('drops the changes of days past retention, and keeps what they amounted to', async () => {
    await using at = await place();
    for (let day = 0; day < 6; day += 1) await at.write(2, 5, START_MS + day * DAY_MS + MINUTE_MS);
    const totals = await at.totals();
    const steps = await at.compact(START_MS + 6 * DAY_MS, 2 * DAY_MS, {
      ...COMPACT_ALL,
      baseShare: 100,
    });
    assert.deepEqual(steps[0], { did: 'dropped', topic: ORDERS.topic, files: 8 });
    assert.deepEqual(await at.totals(), totals);
    const { bases, floor, changes } = await at.table();
    assert.deepEqual(floor, { 0: 40 });
    assert.deepEqual(
      bases.map((base) => base.maxTimeMs),
      [START_MS + 4 * DAY_MS],
    );
    assert.equal(
      changes.reduce((sum, { rows }) => sum + rows, 0),
      20,
    );
    const early = { timeMs: START_MS + DAY_MS };
    const table = await at.table();
    assert.throws(() => stateOf(at.lake, table, early), isCode('lake_horizon'));
  });

  test('loses nothing when it is stopped at any instant, and clears up the next time', async () => {
    await using at = await place();
    for (let round = 0; round < 6; round += 1) {
      await at.write(4, 2);
      const totals = await at.totals();
      const controller = new AbortController();
      const aborted = setTimeout(() => controller.abort(), round * 7);
      const options = { policy: COMPACT_ALL, retentionMs: DAY_MS * 1000, nowMs: Date.now() };
      await compact(at.lake, at.engine, options, () => {}, controller.signal).catch(
        (error: unknown) => assert.ok(controller.signal.aborted, String(error)),
      );
      clearTimeout(aborted);
      assert.deepEqual(await at.totals(), totals, `round ${round}`);
    }
    const remains = at.lake.path('bases/shop.public.orders/remains.parquet');
    await at.compact(Date.now());
    await writeFile(remains, 'half a file');
    await at.compact(Date.now());
    assert.equal(existsSync(remains), false);
    const { removed } = await at.lake.manifest();
    const table = await at.table();
    const named = [...table.changes, ...table.bases.flatMap(({ files }) => files), ...removed];
    assert.equal((await at.filesOnDisk()).length, named.length);
  });

  test('goes on beside a writer', async () => {
    await using at = await place();
    await using another = await at.open();
    await at.write(8);
    const work = compact(
      at.lake,
      another,
      { policy: COMPACT_ALL, retentionMs: DAY_MS * 1000, nowMs: Date.now() },
      () => {},
      never,
    );
    await at.write(12, 5);
    await work;
    assert.deepEqual(await at.totals(), [63, 64, 65, 66, 67]);
    const { changes, offsets } = await at.table();
    assert.deepEqual(offsets, { 0: 68 });
    assert.equal(
      changes.reduce((sum, { rows }) => sum + rows, 0),
      68,
    );
  });

  test('is done by one at a time', async () => {
    await using at = await place();
    await at.write(2);
    using _held = at.lake.lock('compaction');
    await assert.rejects(at.compact(Date.now()), isCode('lake_busy'));
  });

  test('names a file that is damaged, and changes nothing', async () => {
    await using at = await place();
    await at.write(3);
    const { version } = await at.lake.manifest();
    const file = at.lake.path(must((await at.table()).changes[1], 'there are three').path);
    await truncate(file, 100);
    for (const attempt of [() => at.compact(Date.now()), () => at.totals()])
      await assert.rejects(attempt, (error) => {
        assert.ok(isCode('lake_file_damaged')(error));
        assert.equal((error as MillraceError).facts['file'], file);
        return true;
      });
    await rm(file);
    await assert.rejects(at.totals(), isCode('lake_file_damaged'));
    assert.equal((await at.lake.manifest()).version, version);
  });
});

describe('LakeUpkeep', () => {
  test('compacts when there is something to do, and leaves it to another who does', async () => {
    await using at = await place();
    await at.write(8);
    const clock = new TurnedClock();
    const stop = new AbortController();
    const steps = Promise.withResolvers<CompactionStep>();
    let opened = 0;
    const upkeep = new LakeUpkeep({
      lake: at.lake,
      openEngine: () => {
        opened += 1;
        return at.open();
      },
      clock,
      everyMs: MINUTE_MS,
      retentionMs: DAY_MS * 1000,
      onStep: steps.resolve,
    });
    const running = upkeep.run(stop.signal);
    clock.turn(MINUTE_MS);
    assert.equal((await steps.promise).did, 'merged');
    stop.abort();
    await running;
    assert.equal(opened, 1);
    assert.equal(
      await isCompactionDue(at.lake, { retentionMs: DAY_MS * 1000, nowMs: Date.now() }),
      false,
    );
  });
});

describe('what is worth it', () => {
  const file = (day: string, bytes: number, first = 0): ChangeFile => ({
    path: `${day} ${bytes} ${first}`,
    schema: 0,
    day,
    rows: 1000,
    bytes,
    offsets: { 0: [first, first + 999] },
    minTimeMs: 0,
    maxTimeMs: 0,
    unavailable: [],
  });
  const base = (rows: number, offset: number): LakeBase => ({
    offsets: { 0: offset },
    maxTimeMs: 0,
    schema: 0,
    rows,
    files: [],
  });
  const table = (changes: readonly ChangeFile[], bases: readonly LakeBase[] = []): LakeTable => ({
    ...ORDERS,
    offsets: { 0: 1_000_000 },
    changes,
    bases,
    resets: [],
  });

  test('files of like size are joined, so that none is written again for each that comes', () => {
    const many = [...Array(7).keys()].map((each) => file('2026-01-10', 1000 + each));
    const large = file('2026-01-10', 5_000_000);
    assert.deepEqual(mergesOf(table([...many, large]), COMPACTION, '2026-01-10'), []);
    const eight = [...many, file('2026-01-10', 2000)];
    assert.deepEqual(mergesOf(table([large, ...eight]), COMPACTION, '2026-01-10'), [eight]);
  });

  test('a day that is over is joined, up to a size', () => {
    const [a, b, c] = [60, 60, 60].map((mb, each) => file('2026-01-09', mb << 20, each));
    const files = [a, b, c].map((each) => must(each, 'made above'));
    assert.deepEqual(mergesOf(table(files), COMPACTION, '2026-01-10'), [files.slice(0, 2)]);
  });

  test('a base is written for a share of the one before, and for enough rows', () => {
    const changes = [...Array(30).keys()].map((each) => file('2026-01-10', 1, each * 1000));
    assert.equal(needsBase(table(changes), COMPACTION), true);
    assert.equal(needsBase(table(changes.slice(0, 10)), COMPACTION), false);
    assert.equal(needsBase(table(changes, [base(200_000, 0)]), COMPACTION), false);
    assert.equal(needsBase(table(changes, [base(100_000, 15_000)]), COMPACTION), false);
    assert.equal(needsBase({ ...table(changes), schema: '' }, COMPACTION), false);
  });

  test('a base is kept for the models that read before the newest', () => {
    const bases = [base(1, 10), base(1, 20), base(1, 30), base(1, 40)];
    const model = { inputs: { [ORDERS.topic]: { 0: 35 } } };
    const kept = neededBases(table([], bases), { m: model as never });
    assert.deepEqual(
      kept.map(({ offsets }) => offsets['0']),
      [10, 30, 40],
    );
  });
});

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof MillraceError && error.code === code;
}
