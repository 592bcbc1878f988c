import assert from 'node:assert/strict';
import { mkdir, mkdtempDisposable, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { warehouseContract } from '../../../test/contracts/warehouse.ts';
import { smallDisk } from '../../../test/small-disk.ts';
import { must } from '../../lib/must.ts';
import type { StepResult, WarehouseStep } from '../../ports/warehouse.ts';
import { DuckDbEngine } from './engine.ts';
import { DuckDbWarehouse } from './warehouse.ts';

warehouseContract('DuckDbWarehouse', (dir) =>
  DuckDbWarehouse.open({ memoryLimit: '256MB', tempDirectory: dir }),
);

describe('DuckDbWarehouse', () => {
  const refused: readonly (readonly [string, string, string])[] = [
    ['uuid()', 'UUID', 'VARCHAR'],
    ["TIME '10:11:12'", 'TIME', 'VARCHAR'],
    ["INTERVAL '1' DAY", 'INTERVAL', 'VARCHAR'],
    [`'{"a": 1}'::JSON`, 'JSON', 'VARCHAR'],
    ["'a'::ENUM('a', 'TIME')", "ENUM('a', 'TIME')", 'VARCHAR'],
    ['union_value(a := 1)', 'UNION(a INTEGER)', 'VARCHAR'],
    ['1::UTINYINT', 'UTINYINT', 'SMALLINT'],
    ['1::UINTEGER', 'UINTEGER', 'BIGINT'],
    ['1::UBIGINT', 'UBIGINT', 'DECIMAL(20,0)'],
    ["TIMESTAMP_NS '2026-11-23 10:20:30'", 'TIMESTAMP_NS', 'TIMESTAMP'],
    ['[1::HUGEINT]', 'HUGEINT[]', 'DECIMAL(38,0)[]'],
    ['[1, 2]::INTEGER[2]', 'INTEGER[2]', 'INTEGER[]'],
    [
      '{"UUID": uuid(), a_b: [1]}',
      'STRUCT("UUID" UUID, a_b INTEGER[])',
      'STRUCT("UUID" VARCHAR, a_b INTEGER[])',
    ],
    ["MAP {'a': uuid()}", 'MAP(VARCHAR, UUID)', 'MAP(VARCHAR, VARCHAR)'],
  ];
  for (const [value, type, instead] of refused)
    test(`refuses ${type} in what it writes, and names the cast that it takes`, async () => {
      await using folder = await temporary();
      const cast = `CAST("a b" AS ${instead})`;
      const [failed, done, checked] = await run(folder.path, [
        table(folder.path, 'raw', `SELECT 1 AS n, ${value} AS "a b"`),
        table(folder.path, 'mended', `SELECT ${cast} AS c FROM (SELECT ${value} AS "a b")`),
        check(folder.path, 'found', `SELECT ${value} AS "a b"`),
      ]);
      const problem = `Column "a b" is ${type}, which files that every engine reads can't hold: write ${cast}.`;
      for (const result of [failed, checked]) {
        assert.ok(result?.outcome === 'failed');
        assert.equal(result.problem, problem);
      }
      assert.ok(done?.outcome === 'done', JSON.stringify(done));
      assert.deepEqual(done.columns, [{ name: 'c', type: instead }]);
      assert.deepEqual(await readdir(join(folder.path, 'out')), ['mended']);
    });

  test('takes sums of whole numbers for BIGINT in views, tables and checks, and fails one too large', async () => {
    await using folder = await temporary();
    const sums =
      'SELECT range % 3 AS g, SUM(range) AS "the sum" FROM range(10) GROUP BY 1 ORDER BY 1';
    const view = { kind: 'view', name: 'sums', sql: sums, after: [] } as const;
    const results = await run(folder.path, [
      view,
      table(folder.path, 'kept', 'SELECT * FROM sums ORDER BY g DESC', ['sums']),
      check(folder.path, 'found', sums),
      table(
        folder.path,
        'large',
        'SELECT SUM(n) AS s FROM (VALUES (9223372036854775807), (1)) t(n)',
      ),
    ]);
    const [seen, kept, found, large] = results;
    for (const result of [seen, kept]) {
      assert.ok(result?.outcome === 'done', JSON.stringify(result));
      assert.equal(result.columns[1]?.type, 'BIGINT');
    }
    assert.deepEqual(await rowsOf(folder.path, kept), [
      [2, 15],
      [1, 12],
      [0, 18],
    ]);
    assert.deepEqual(await rowsOf(folder.path, found), [
      [0, 18],
      [1, 12],
      [2, 15],
    ]);
    assert.ok(large?.outcome === 'failed');
    assert.match(large.problem, /9223372036854775808/);
  });

  test('leaves a folder alone that was there before, and fails the step', async () => {
    await using folder = await temporary();
    const there = join(folder.path, 'out', 'taken');
    await mkdir(there, { recursive: true });
    await writeFile(join(there, 'rows.parquet'), 'of another');
    const [result] = await run(folder.path, [table(folder.path, 'taken', 'SELECT 1 AS one')]);
    assert.ok(result?.outcome === 'failed');
    assert.match(result.problem, /EEXIST/);
    assert.equal(await readFile(join(there, 'rows.parquet'), 'utf8'), 'of another');
  });

  test('sorts more than its memory holds', async () => {
    await using folder = await temporary();
    const wide =
      'SELECT range AS n, md5(range::VARCHAR) AS a, sha256(range::VARCHAR) AS b FROM range(600000)';
    const [result] = await run(
      folder.path,
      [table(folder.path, 'sorted', `SELECT * FROM (${wide}) ORDER BY a`)],
      '64MB',
    );
    assert.ok(result?.outcome === 'done', JSON.stringify(result));
    assert.equal(result.rows, 600_000);
  });

  test('fails a step for which the disk has no room, leaves nothing of it, and goes on', async (t) => {
    await using folder = await temporary();
    await mkdir(join(folder.path, 'out'));
    using disk = smallDisk(join(folder.path, 'out'), '4m');
    if (disk === undefined) {
      t.skip('may not mount a small file system here');
      return;
    }
    const [large, small] = await run(folder.path, [
      table(folder.path, 'large', 'SELECT md5(range::VARCHAR) AS a FROM range(1000000)'),
      table(folder.path, 'small', 'SELECT 1 AS one'),
    ]);
    assert.ok(large?.outcome === 'failed');
    assert.match(large.problem, /^No space is left on the disk of .*large/);
    assert.ok(small?.outcome === 'done', JSON.stringify(small));
    assert.deepEqual(await readdir(join(folder.path, 'out')), ['small']);
  });

  test('keeps jobs that run at once apart', async () => {
    await using folder = await temporary();
    const jobs = ['a', 'b'].map((each) =>
      run(folder.path, [
        { kind: 'view', name: 'same', sql: `SELECT '${each}' AS name`, after: [] },
        table(folder.path, `of_${each}`, 'SELECT * FROM same', ['same']),
      ]),
    );
    for (const [index, [, result]] of (await Promise.all(jobs)).entries())
      assert.deepEqual(await rowsOf(folder.path, result), [[['a', 'b'][index]]]);
  });

  test('is unavailable where DuckDB finds no room to work in', async () => {
    await using folder = await temporary();
    await writeFile(join(folder.path, 'engine'), 'not a folder');
    await assert.rejects(run(folder.path, []), { code: 'warehouse_unavailable' });
  });
});

async function run(
  dir: string,
  steps: readonly WarehouseStep[],
  memoryLimit = '256MB',
): Promise<readonly StepResult[]> {
  const tempDirectory = join(dir, 'engine');
  await using warehouse = await DuckDbWarehouse.open({ memoryLimit, threads: 1, tempDirectory });
  return await warehouse.run({ relations: [], steps }, () => {}, new AbortController().signal);
}

async function rowsOf(dir: string, result: StepResult | undefined) {
  assert.ok(result?.outcome === 'done', JSON.stringify(result));
  const file = must(result.files[0], 'it wrote rows');
  await using engine = await DuckDbEngine.open({ memoryLimit: '64MB', tempDirectory: dir });
  return (await engine.query(`SELECT * FROM '${file}'`)).rows;
}

function table(
  dir: string,
  name: string,
  sql: string,
  after: readonly string[] = [],
): WarehouseStep {
  return { kind: 'table', name, sql, after, directory: join(dir, 'out', name) };
}

function check(dir: string, name: string, sql: string): WarehouseStep {
  const directory = join(dir, 'out', name);
  return { kind: 'check', name, sql, after: [], severity: 'warn', keep: 100, directory };
}

function temporary() {
  return mkdtempDisposable(join(tmpdir(), 'millrace-duckdb-'));
}
