import assert from 'node:assert/strict';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { MillraceError } from '../../domain/errors.ts';
import type { LakeModel } from '../../batch/lake/manifest.ts';
import type { SqlRows } from '../../ports/sql-engine.ts';
import { ScriptedLake } from '../../../test/scripted-lake.ts';
import { TemporaryBatch } from '../../../test/temporary-batch.ts';
import { LakeQuery } from './sql.ts';

const never = new AbortController().signal;
const FIRST_MS = Date.UTC(2026, 0, 1);
const LATER_MS = Date.UTC(2026, 0, 2);

describe('a question to the lake', () => {
  test('reads tables as they are, by their name with and without schema', async () => {
    await using asked = await askedLake();
    const expected = [
      [1, 'paid'],
      [3, 'new'],
    ];
    assert.deepEqual(await asked.rows('SELECT id, status FROM orders ORDER BY id'), expected);
    assert.deepEqual(await asked.rows('SELECT id, status FROM public.ORDERS ORDER BY 1'), expected);
  });

  test('reads tables as they were at a time', async () => {
    await using asked = await askedLake();
    assert.deepEqual(await asked.rows('SELECT id, status FROM orders ORDER BY id', FIRST_MS), [
      [1, 'new'],
      [2, 'new'],
    ]);
  });

  test('tells of tables that are being copied, where it shows their rows', async () => {
    await using place = await askedLake();
    await place.lake.edit('orders', (table) => ({
      ...table,
      incomplete: { sinceMs: LATER_MS, cause: 'gap' },
    }));
    const warnings = async (sql: string, atMs?: number) => {
      await using query = await place.open(sql, never, atMs);
      return query.warnings;
    };
    const told = ['public.orders is being copied: not all of its rows are in the lake yet'];
    assert.deepEqual(await warnings('FROM orders JOIN orders AS other USING (id)'), told);
    assert.deepEqual(await warnings('FROM twice'), told);
    assert.deepEqual(await warnings('FROM public.customers'), []);
    assert.deepEqual(await warnings('FROM changes.orders'), []);
    assert.deepEqual(await warnings('FROM orders', FIRST_MS), []);
  });

  test('reads all changes, with when and what they were', async () => {
    await using asked = await askedLake();
    assert.deepEqual(
      await asked.rows(
        'SELECT __op, status, __commit_time FROM changes.orders WHERE id = 1 ORDER BY __offset',
      ),
      [
        ['c', 'new', '2026-01-01 00:00:00'],
        ['u', 'paid', '2026-01-02 00:00:00'],
      ],
    );
  });

  test("reads models, and views over them and over tables, with the tables' time", async () => {
    await using asked = await askedLake();
    assert.deepEqual(await asked.rows('FROM totals'), [[7]]);
    assert.deepEqual(await asked.rows('FROM models.overview'), [[2, 7]]);
    assert.deepEqual(await asked.rows('SELECT orders FROM twice', FIRST_MS), [[4]]);
  });

  test('refuses a name that is a model and a table, and takes it with its schema', async () => {
    await using asked = await askedLake();
    await assert.rejects(asked.rows('FROM customers'), failure('usage', /models.*public/));
    assert.deepEqual(await asked.rows('FROM models.customers'), [[9]]);
    assert.deepEqual(await asked.rows('SELECT count(*) FROM public.customers'), [[0]]);
  });

  test('tells tables apart whose names differ by case alone', async () => {
    await using batch = await TemporaryBatch.create();
    const columns = [{ name: 'id', type: 'INTEGER' }];
    const lake = await ScriptedLake.create(batch.lakeDir, batch.engine, [
      { name: 'plain', key: ['id'], columns },
      { name: 'Plain', key: ['id'], columns },
    ]);
    await lake.append([
      { table: 'plain', op: 'c', row: { id: 1 } },
      { table: 'Plain', op: 'c', row: { id: 2 } },
    ]);
    const config = { lake: { dir: batch.lakeDir }, batch: { memory: '256MB' } };
    const rows = async (sql: string): Promise<unknown> => {
      await using query = await LakeQuery.open(config, { sql }, never);
      return (await Array.fromAsync(query.rows())).flatMap((each) => each.rows);
    };
    assert.deepEqual(await rows('FROM plain'), [[1]]);
    assert.deepEqual(await rows('FROM plain_2'), [[2]]);
    assert.deepEqual(await rows('SELECT id FROM changes."Plain_2"'), [[2]]);
    await assert.rejects(rows('FROM public."Plain"'), failure('usage', /"public"\."Plain_2"/));
  });

  test('takes a name of its own over one of the lake, which it may read', async () => {
    await using asked = await askedLake();
    const own = 'WITH orders AS (SELECT * FROM orders WHERE id > 1) SELECT id FROM orders';
    assert.deepEqual(await asked.rows(own), [[3]]);
    assert.deepEqual(await asked.rows('WITH customers AS (SELECT 1) FROM customers'), [[1]]);
  });

  test('reads what it names as text', async () => {
    await using asked = await askedLake();
    assert.deepEqual(await asked.rows("SELECT count(*) FROM query_table('orders')"), [[2]]);
    assert.deepEqual(await asked.rows("FROM query('SELECT count(*) FROM orders')"), [[2]]);
  });

  test('lists tables and columns, and facts of the lake', async () => {
    await using asked = await askedLake();
    const [[name, type] = []] = await asked.rows('DESCRIBE orders');
    assert.deepEqual([name, type], ['id', 'INTEGER']);
    const names = await asked.rows("SELECT name FROM (SHOW ALL TABLES) WHERE schema = 'public'");
    assert.deepEqual(names, [['customers'], ['orders']]);
    assert.deepEqual(
      await asked.rows('SELECT name, "key", changes, first_change FROM lake.tables ORDER BY name'),
      [
        ['customers', ['id'], 0, null],
        ['orders', ['id'], 5, '2026-01-01 00:00:00+00'],
      ],
    );
    assert.deepEqual(await asked.rows("SELECT rows FROM lake.models WHERE name = 'totals'"), [[1]]);
    assert.deepEqual(
      await asked.rows('SELECT kind, count(*) FROM lake.files GROUP BY ALL ORDER BY 1'),
      [
        ['changes', 2],
        ['model', 2],
      ],
    );
  });

  test('shows a plan', async () => {
    await using asked = await askedLake();
    const [[, plan] = []] = await asked.rows('/* why */ EXPLAIN ANALYZE SELECT * FROM orders');
    assert.match(plan as string, /READ_PARQUET/);
  });

  test('opens no file of what it does not name', async () => {
    await using asked = await askedLake();
    await asked.lake.edit('orders', (table) => ({
      ...table,
      changes: table.changes.map((file) => ({ ...file, path: 'changes/gone.parquet' })),
    }));
    assert.deepEqual(await asked.rows('FROM totals'), [[7]]);
    await assert.rejects(asked.rows('FROM orders'), failure('lake_file_damaged', /./));
  });

  test('says what is near to a name that is none, and at which line', async () => {
    await using asked = await askedLake();
    await assert.rejects(
      asked.rows('SELECT 1\nFROM ordres'),
      failure('sql_failed', /Did you mean "orders"/, 2),
    );
    await assert.rejects(
      asked.rows('SELECT\n  statsu\nFROM orders'),
      failure('sql_failed', /Candidate bindings: "status"/, 2),
    );
    await assert.rejects(asked.rows('SELECT 1\nFORM x y'), failure('sql_failed', /syntax/, 2));
  });

  const writing = [
    "COPY orders TO 'x.csv'",
    'CREATE TABLE x AS SELECT 1',
    "ATTACH 'x.db'",
    'INSTALL httpfs',
    'SET memory_limit = 1',
    'DROP VIEW orders',
    'INSERT INTO orders VALUES (1)',
    "EXPLAIN ANALYZE COPY orders TO 'x.csv'",
    'SELECT 1; SELECT 2',
    '',
  ];
  for (const sql of writing)
    test(`refuses what is not one statement that reads: ${sql}`, async () => {
      await using asked = await askedLake();
      await assert.rejects(asked.rows(sql), failure('usage', /./));
    });

  test('ends when told to', async () => {
    await using asked = await askedLake();
    const stop = new AbortController();
    await using query = await asked.open('SELECT count(*) FROM range(10000000000)', stop.signal);
    const counted = Array.fromAsync(query.rows());
    stop.abort(new Error('enough'));
    await assert.rejects(counted, /enough/);
  });

  test('counts its rows, and writes them as Parquet, all or none', async () => {
    await using asked = await askedLake();
    await mkdir(join(asked.dir, "it's out"));
    const file = join(asked.dir, "it's out", 'rows.parquet');
    await using query = await asked.open(
      'SELECT id, sum(id) AS total FROM orders GROUP BY id ORDER BY id DESC -- of all;',
    );
    assert.equal(await query.count(), 2);
    assert.equal(await query.writeParquet(file), 2);
    const read = await asked.rows(`FROM '${file.replaceAll("'", "''")}'`);
    assert.deepEqual(read, [
      [3, '3'],
      [1, '1'],
    ]);
    await using failing = await asked.open("SELECT error('no') AS id FROM orders");
    await assert.rejects(failing.writeParquet(file), failure('sql_failed', /no/));
    assert.deepEqual(await asked.rows(`FROM '${file.replaceAll("'", "''")}'`), read);
    assert.deepEqual(await readdir(join(asked.dir, "it's out")), ['rows.parquet']);
  });

  test('may name files beside the lake, whose faults are not told as those of the lake', async () => {
    await using asked = await askedLake();
    const file = join(asked.dir, 'own.parquet');
    await assert.rejects(asked.rows(`FROM '${file}'`), failure('sql_failed', /No files found/));
    await writeFile(file, 'no Parquet');
    await assert.rejects(asked.rows(`FROM '${file}'`), failure('sql_failed', /own\.parquet/));
  });

  test('is answered where nothing can be written into the lake', async () => {
    await using asked = await askedLake();
    await rm(asked.lake.lake.path('tmp'), { recursive: true, force: true });
    await writeFile(asked.lake.lake.path('tmp'), '');
    assert.deepEqual(await asked.rows('SELECT id FROM orders ORDER BY id'), [[1], [3]]);
  });

  test('says when there is no lake, and makes none', async () => {
    await using batch = await TemporaryBatch.create();
    const config = { lake: { dir: join(batch.dir, 'none') }, batch: { memory: '256MB' } };
    await assert.rejects(
      LakeQuery.open(config, { sql: 'SELECT 1' }, never),
      failure('lake_missing', /./),
    );
    assert.equal((await readdir(batch.dir)).includes('none'), false);
  });
});

function failure(code: string, text: RegExp, line?: number): (error: unknown) => boolean {
  return (error) =>
    error instanceof MillraceError &&
    error.code === code &&
    text.test(JSON.stringify(Object.values(error.facts)).replaceAll('\\"', '"')) &&
    (line === undefined || error.facts['line'] === line);
}

async function askedLake() {
  await using resources = new AsyncDisposableStack();
  const batch = resources.use(await TemporaryBatch.create());
  const lake = await ScriptedLake.create(batch.lakeDir, batch.engine, [
    {
      name: 'orders',
      key: ['id'],
      columns: [
        { name: 'id', type: 'INTEGER' },
        { name: 'status', type: 'VARCHAR' },
      ],
    },
    { name: 'customers', key: ['id'], columns: [{ name: 'id', type: 'INTEGER' }] },
  ]);
  await lake.append(
    [
      { table: 'orders', op: 'c', row: { id: 1, status: 'new' } },
      { table: 'orders', op: 'c', row: { id: 2, status: 'new' } },
    ],
    FIRST_MS,
  );
  await lake.append(
    [
      { table: 'orders', op: 'u', row: { id: 1, status: 'paid' } },
      { table: 'orders', op: 'd', row: { id: 2, status: 'new' } },
      { table: 'orders', op: 'c', row: { id: 3, status: 'new' } },
    ],
    LATER_MS,
  );
  await addModels(lake, batch);
  const config = { lake: { dir: batch.lakeDir }, batch: { memory: '256MB' } };
  const open = (sql: string, signal = never, atMs?: number): Promise<LakeQuery> =>
    LakeQuery.open(config, { sql, ...(atMs !== undefined && { atMs }) }, signal);
  const rows = async (sql: string, atMs?: number): Promise<SqlRows['rows']> => {
    await using query = await open(sql, never, atMs);
    return (await Array.fromAsync(query.rows())).flatMap((batch) => batch.rows);
  };
  const owned = resources.move();
  return {
    dir: batch.dir,
    lake,
    open,
    rows,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function addModels({ lake }: ScriptedLake, { engine }: TemporaryBatch): Promise<void> {
  const model = async (name: string, column: string, sql: string): Promise<LakeModel> => {
    const path = `models/${name}/run/rows.parquet`;
    await mkdir(lake.path(`models/${name}/run`), { recursive: true });
    await engine.run(`COPY (${sql}) TO '${lake.path(path)}' (FORMAT parquet)`);
    const columns = [{ name: column, type: 'INTEGER' }];
    return { ...MODEL, name, columns, rows: 1, files: [{ path, bytes: 1 }] };
  };
  const view = (name: string, columns: readonly string[], sql: string): LakeModel => ({
    ...MODEL,
    name,
    materialization: 'view',
    columns: columns.map((column) => ({ name: column, type: 'BIGINT' })),
    sql,
  });
  const models = [
    view('twice', ['orders'], 'SELECT 2 * orders AS orders FROM models."overview"'),
    view(
      'overview',
      ['orders', 'total'],
      '\nSELECT (SELECT count(*) FROM "public"."orders") AS orders, total FROM models."totals"\n',
    ),
    await model('totals', 'total', 'SELECT 7::INTEGER AS total'),
    await model('customers', 'id', 'SELECT 9::INTEGER AS id'),
  ];
  await lake.commit((manifest) => ({
    ...manifest,
    models: Object.fromEntries(models.map((each) => [each.name, each])),
  }));
}

const MODEL: LakeModel = {
  name: '',
  materialization: 'table',
  runId: 'run',
  builtAtMs: FIRST_MS,
  fingerprint: '',
  columns: [],
  rows: 0,
  files: [],
  inputs: {},
};
