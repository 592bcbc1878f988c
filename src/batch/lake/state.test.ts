import assert from 'node:assert/strict';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DuckDbEngine } from '../../adapters/duckdb/engine.ts';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import {
  schemaOf,
  type TestChange,
  type TestTable,
  writeChanges,
} from '../../../test/lake-changes.ts';
import { RandomHistory } from '../../../test/lake-history.ts';
import { seededRandom } from '../../../test/random.ts';
import { sqlIdentifier } from '../models/literal.ts';
import { compact } from './compaction.ts';
import { COMPACT_ALL, type CompactionPolicy } from './compaction-plan.ts';
import { inlineFiles } from './inline-files.ts';
import { Lake } from './lake.ts';
import type { LakeReset, LakeSchema, LakeTable } from './manifest.ts';
import { changesOf, stateOf } from './state.ts';
import type { TableRelation, UpTo } from './table-relation.ts';

const START_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 24 * 60 * 60_000;

type Place = AsyncDisposable & Readonly<{ lake: Lake; engine: DuckDbEngine }>;

async function place(): Promise<Place> {
  const resources = new AsyncDisposableStack();
  const folder = resources.use(await mkdtempDisposable(join(tmpdir(), 'millrace-state-')));
  const lake = await Lake.open(folder.path);
  const engine = resources.use(
    await DuckDbEngine.open({
      memoryLimit: '256MB',
      threads: 2,
      tempDirectory: join(folder.path, 'tmp'),
    }),
  );
  return { lake, engine, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

const rowsOf = async (engine: DuckDbEngine, relation: TableRelation): Promise<string[]> => {
  const values = relation.columns.map(({ name }) => `CAST(${sqlIdentifier(name)} AS VARCHAR)`);
  const { rows } = await engine.query(
    `SELECT ${values.join(', ')} FROM (${inlineFiles(relation)})`,
  );
  return rows.map((row) => JSON.stringify(row)).toSorted();
};

/** Which of the table's sets of columns a relation has. */
const schemaIn = ({ schemas }: LakeTable, { columns }: TableRelation): number =>
  schemas.findIndex(
    (schema) =>
      JSON.stringify(schema.columns.map(({ name, type }) => [name, type])) ===
      JSON.stringify(columns.map(({ name, type }) => [name, type])),
  );

const seeds = Array.from({ length: Number(process.env['LAKE_SEEDS'] ?? 6) }, (_, seed) => seed);

describe('stateOf', { concurrency: 2 }, () => {
  for (const seed of seeds) {
    test(`is what a replay gives, at any position, however it is compacted (${seed})`, async () => {
      await using at = await place();
      const { lake, engine } = at;
      const random = seededRandom(seed + Number(process.env['LAKE_FIRST'] ?? 0));
      const history = new RandomHistory(random, START_MS);
      const pick = (count: number): number => Math.floor(random() * count);
      const table = async (): Promise<LakeTable> =>
        must((await lake.manifest()).tables[history.table.topic], 'it was written');
      const checkAt = async (
        upTo: UpTo | undefined,
        count: number,
        isReset: (reset: LakeReset) => boolean,
      ): Promise<void> => {
        const found = await table();
        const relation = stateOf(lake, found, upTo);
        const wanted = history.stateAfter(count, isReset, schemaIn(found, relation));
        assert.deepEqual(await rowsOf(engine, relation), wanted, JSON.stringify(upTo ?? 'now'));
      };
      const written = { changes: 0, resets: 0 };
      for (let round = 0; round < 8; round += 1) {
        for (let steps = 5 + pick(25); steps > 0; steps -= 1) history.step();
        await writeChanges(lake, engine, history.table, history.changes.slice(written.changes), {
          offsets: history.offsetsAfter(),
          resets: history.resets.slice(written.resets),
        });
        written.changes = history.changes.length;
        written.resets = history.resets.length;
        if (pick(2) === 0) {
          const policy: CompactionPolicy = { ...COMPACT_ALL, baseShare: pick(3) / 2 };
          const retentionMs = (pick(3) === 0 ? 1 + pick(5) : 1000) * DAY_MS;
          const options = { policy, retentionMs, nowMs: history.nowMs };
          await compact(lake, engine, options, () => {}, AbortSignal.timeout(60_000));
        }
        await checkAt(undefined, written.changes, () => true);
        const found = await table();
        for (let looks = 0; looks < 4; looks += 1) {
          const count = wholeOffset(history, 1 + pick(written.changes));
          const offsets = history.offsetsAfter(count);
          const isKept = Object.entries(found.floor ?? {}).every(
            ([partition, floor]) => (offsets[partition] ?? 0) >= floor,
          );
          const check = checkAt({ offsets }, count, (r) => r.at < (offsets[r.partition] ?? 0));
          if (isKept) await check;
          else await assert.rejects(check, isHorizon);
        }
        for (let looks = 0; looks < 4; looks += 1) {
          const timeMs = START_MS + pick(history.nowMs - START_MS + 1);
          const count = history.changes.findLastIndex((each) => each.timeMs <= timeMs) + 1;
          const horizonMs = found.floor === undefined ? 0 : found.bases[0]?.maxTimeMs;
          const check = checkAt({ timeMs }, count, (reset) => reset.timeMs <= timeMs);
          if (count > 0 && timeMs >= (horizonMs ?? 0)) await check;
          else await assert.rejects(check, isHorizon);
        }
      }
    });
  }
});

test('values left out before names were swapped are those of their column', async () => {
  await using at = await place();
  const { lake, engine } = at;
  const numbered = (id: number, names: readonly string[]): LakeSchema => ({
    id,
    columns: names.map((name, index) => ({
      name,
      source: name,
      type: 'VARCHAR',
      sqlType: 'text',
      number: { table: 7, column: index + 1 },
    })),
  });
  const table: TestTable = {
    topic: 'shop.public.t',
    schema: 'public',
    name: 't',
    key: ['id'],
    schemas: [numbered(0, ['id', 'a', 'b']), numbered(1, ['id', 'b', 'a'])],
  };
  const at0 = { partition: 0, timeMs: START_MS };
  await writeChanges(
    lake,
    engine,
    table,
    [
      { ...at0, op: 'c', offset: 0, schema: 0, row: { id: '1', a: 'first', b: 'x' } },
      { ...at0, op: 'u', offset: 1, schema: 0, row: { id: '1', b: 'y' }, unavailable: ['a'] },
      { ...at0, op: 'c', offset: 2, schema: 1, row: { id: '2', b: 'p', a: 'q' } },
    ],
    { offsets: { 0: 3 } },
  );
  const found = must((await lake.manifest()).tables[table.topic], 'it was written');
  assert.deepEqual(await rowsOf(engine, stateOf(lake, found)), [
    '["1","first","y"]',
    '["2","p","q"]',
  ]);
  const changes = await engine.query(
    `SELECT b, a, __unavailable FROM (${inlineFiles(changesOf(lake, found))}) ORDER BY __offset`,
  );
  assert.deepEqual(changes.rows, [
    ['first', 'x', null],
    [null, 'y', '["b"]'],
    ['p', 'q', null],
  ]);
});

test('a row whose key changed has no value of another row that had its key', async () => {
  await using at = await place();
  const { lake, engine } = at;
  const table: TestTable = {
    topic: 'shop.public.t',
    schema: 'public',
    name: 't',
    key: ['id'],
    schemas: [schemaOf(0, { id: 'INTEGER', long: 'VARCHAR', v: 'INTEGER' })],
  };
  const at0 = { partition: 0, timeMs: START_MS, schema: 0 };
  await writeChanges(
    lake,
    engine,
    table,
    [
      { ...at0, op: 'c', offset: 0, row: { id: '1', long: 'of the first', v: '1' } },
      { ...at0, op: 'c', offset: 1, row: { id: '2', long: 'of the second', v: '1' } },
      { ...at0, op: 'd', offset: 2, row: { id: '1' } },
      { ...at0, op: 'd', offset: 3, row: { id: '2' } },
      { ...at0, op: 'c', offset: 4, row: { id: '1', v: '2' }, unavailable: ['long'] },
      { ...at0, op: 'u', offset: 5, row: { id: '1', v: '3' }, unavailable: ['long'] },
      { ...at0, op: 'c', offset: 6, row: { id: '2', long: 'anew', v: '1' } },
      { ...at0, op: 'u', offset: 7, row: { id: '2', v: '2' }, unavailable: ['long'] },
    ],
    { offsets: { 0: 8 } },
  );
  const found = must((await lake.manifest()).tables[table.topic], 'it was written');
  assert.deepEqual(await rowsOf(engine, stateOf(lake, found)), [
    '["1",null,"3"]',
    '["2","anew","2"]',
  ]);
});

test('a column that was added later has its default in older rows, and an older type is cast', async () => {
  await using at = await place();
  const { lake, engine } = at;
  const table: TestTable = {
    topic: 'shop.public.t',
    schema: 'public',
    name: 't',
    key: ['id'],
    schemas: [
      schemaOf(0, { id: 'INTEGER', n: 'VARCHAR', gone: 'VARCHAR' }),
      schemaOf(
        1,
        {
          id: 'INTEGER',
          n: 'INTEGER',
          at: 'TIMESTAMPTZ',
          raw: 'BLOB',
          list: 'INTEGER[]',
          yes: 'BOOLEAN',
          no: 'DATE',
        },
        { at: '2026-01-31 12:00:00.5+00', raw: String.raw`\x4142`, list: '{1,NULL,3}', yes: 't' },
      ),
    ],
  };
  const change = (offset: number, schema: number, row: TestChange['row']): TestChange => ({
    op: 'c',
    partition: 0,
    offset,
    timeMs: START_MS + offset,
    schema,
    row,
  });
  const changes = [
    change(0, 0, { id: '0', n: '7', gone: 'x' }),
    change(1, 0, { id: '1', n: 'seven', gone: 'x' }),
    change(2, 1, { id: '2', n: '9', at: null, raw: null, list: null, yes: null, no: null }),
  ];
  await writeChanges(lake, engine, table, changes, { offsets: { 0: 3 } });
  const found = must((await lake.manifest()).tables[table.topic], 'it was written');
  const state = stateOf(lake, found);
  const { rows, columns } = await engine.query(inlineFiles(state));
  const added = ['2026-01-31 12:00:00.5+00', String.raw`\x4142`, [1, null, 3], true, null];
  assert.deepEqual(
    rows.toSorted((a, b) => Number(a[0]) - Number(b[0])),
    [
      [0, 7, ...added],
      [1, null, ...added],
      [2, 9, null, null, null, null, null],
    ],
  );
  assert.deepEqual(columns, state.columns);
  const all = changesOf(lake, found);
  const gone = await engine.query(`SELECT id, gone FROM (${inlineFiles(all)}) ORDER BY __offset`);
  assert.deepEqual(gone.rows, [
    [0, 'x'],
    [1, 'x'],
    [2, null],
  ]);
});

test('a state from before the table had its key is refused', async () => {
  await using at = await place();
  const { lake, engine } = at;
  const table: TestTable = {
    topic: 'shop.public.t',
    schema: 'public',
    name: 't',
    key: ['id'],
    schemas: [schemaOf(0, { id: 'INTEGER' })],
  };
  const changes = [0, 1, 2].map((offset): TestChange => {
    const timeMs = START_MS + offset * DAY_MS;
    return { op: 'c', partition: 0, offset, timeMs, schema: 0, row: { id: `${offset}` } };
  });
  const resets: LakeReset[] = [
    { partition: 0, offset: 2, at: 1, timeMs: START_MS + 2 * DAY_MS, cause: 'key' },
  ];
  await writeChanges(lake, engine, table, changes, { offsets: { 0: 3 }, resets });
  const found = must((await lake.manifest()).tables[table.topic], 'it was written');
  assert.deepEqual(await rowsOf(engine, stateOf(lake, found)), ['["2"]']);
  for (const upTo of [{ timeMs: START_MS + DAY_MS }, { offsets: { 0: 1 } }])
    assert.throws(() => stateOf(lake, found, upTo), isHorizon);
  for (const retainedDays of [1.5, 0.5]) {
    const nowMs = START_MS + 3 * DAY_MS;
    const options = { retentionMs: retainedDays * DAY_MS, nowMs, policy: COMPACT_ALL };
    await compact(lake, engine, options, () => {}, AbortSignal.timeout(60_000));
    const kept = must((await lake.manifest()).tables[table.topic], 'it is there');
    assert.deepEqual(await rowsOf(engine, stateOf(lake, kept)), ['["2"]']);
    assert.deepEqual(kept.floor, retainedDays > 1 ? undefined : { 0: 2 });
  }
});

test('a state of nothing has the columns and no rows', async () => {
  await using at = await place();
  const { lake, engine } = at;
  const table = {
    topic: 'shop.public.t',
    schema: 'public',
    name: 't',
    key: ['id'],
    schemas: [schemaOf(0, { id: 'INTEGER', list: 'TIMESTAMPTZ[]' })],
    offsets: { 0: 0 },
    changes: [],
    bases: [],
    resets: [],
  };
  for (const relation of [stateOf(lake, table), changesOf(lake, table)]) {
    const { rows, columns } = await engine.query(inlineFiles(relation));
    assert.deepEqual([rows, columns], [[], relation.columns]);
  }
});

/** An offset is taken in as a whole: both rows of an update. */
const wholeOffset = ({ changes }: RandomHistory, count: number): number => {
  const [last, next] = [changes[count - 1], changes[count]];
  return last?.partition === next?.partition && last?.offset === next?.offset ? count + 1 : count;
};

const isHorizon = (error: unknown): boolean =>
  error instanceof MillraceError && error.code === 'lake_horizon';
