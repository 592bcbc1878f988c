import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtempDisposable, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { DuckDbEngine } from '../../src/adapters/duckdb/engine.ts';
import { SparkWarehouse } from '../../src/adapters/spark/warehouse.ts';
import { MillraceError } from '../../src/domain/errors.ts';
import type { SqlValue } from '../../src/ports/sql-engine.ts';
import type { StepResult, Warehouse, WarehouseStep } from '../../src/ports/warehouse.ts';
import { eventually } from '../command-line.ts';
import { warehouseContract } from '../contracts/warehouse.ts';
import { freePort } from './servers/free-port.ts';
import { installedSpark, temporarySparkCluster } from './servers/spark.ts';

const run = promisify(execFile);
const HEALTH = join(import.meta.dirname, '../../deploy/spark/health.sh');
const spark = await installedSpark();
const env = { ...process.env, ...spark.env };
const never = new AbortController().signal;

const open = (workDir: string, master = 'local[2]') =>
  SparkWarehouse.open({ submit: spark.submit, master, workDir, env });

warehouseContract('SparkWarehouse', open);

const temporary = () => mkdtempDisposable(join(tmpdir(), 'millrace-spark-'));

/** A small lake of one file, `events`: a day, an instant, and an hour after it with its time zone. */
async function withEvents(dir: string, steps: readonly WarehouseStep[], warehouse: Warehouse) {
  const file = join(dir, 'events.parquet');
  await using duckdb = await openDuckdb(dir);
  await duckdb.run(`COPY (
      SELECT i AS id, TIMESTAMP '2026-01-01 10:00:00' + INTERVAL (i) DAY AS at,
        TIMESTAMPTZ '2026-01-01 11:00:00+00' + INTERVAL (i) DAY AS at_zone
      FROM range(3) numbers(i)
    ) TO '${file}' (FORMAT parquet)`);
  const columns = [
    { name: 'id', type: 'BIGINT' },
    { name: 'at', type: 'TIMESTAMP' },
    { name: 'at_zone', type: 'TIMESTAMPTZ' },
  ];
  const relations = [{ name: 'events', files: [file], columns }];
  return warehouse.run({ relations, steps }, () => {}, never);
}

const openDuckdb = (dir: string) =>
  DuckDbEngine.open({ memoryLimit: '256MB', tempDirectory: join(dir, 'duckdb') });

async function rowsOf(dir: string, result: StepResult | undefined): Promise<readonly SqlValue[][]> {
  assert.ok(result?.outcome === 'done', JSON.stringify(result));
  await using duckdb = await openDuckdb(dir);
  const files = result.files.map((file) => `'${file}'`).join(', ');
  return (await duckdb.query(`SELECT * FROM read_parquet([${files}])`)).rows as SqlValue[][];
}

/** Of the processes that a warehouse at work in `dir` has started. */
async function processesIn(dir: string): Promise<{ pid: number; command: string }[]> {
  const { stdout } = await run('ps', ['-ww', '-eo', 'pid=,args=']);
  return stdout
    .split('\n')
    .filter((line) => line.includes(dir) && line.includes('spark_runner.py'))
    .map((line) => /^\s*(\d+) (.*)$/.exec(line) ?? [])
    .map(([, pid, command = '']) => ({ pid: Number(pid), command }));
}

const ENDLESS = `SELECT COUNT(*) AS n FROM
  (SELECT explode(sequence(1, 1000000)) AS n) a CROSS JOIN
  (SELECT explode(sequence(1, 1000000)) AS n) b WHERE a.n * b.n = 7`;

describe('what Spark has other types for', () => {
  const DAY = "date_trunc('day', at)";
  const ZONE_DAY = "date_trunc('day', at_zone)";
  /** What DuckDB says of each. */
  const TYPES: Readonly<Record<string, readonly [sql: string, type: string]>> = {
    truncated: [`SELECT ${DAY} AS x FROM events`, 'TIMESTAMP'],
    zone_truncated: [`SELECT ${ZONE_DAY} AS x FROM events`, 'TIMESTAMPTZ'],
    largest: [`SELECT MAX(${DAY}) AS x FROM events`, 'TIMESTAMP'],
    windowed: [`SELECT LAG(${DAY}) OVER (ORDER BY ${ZONE_DAY}) AS x FROM events`, 'TIMESTAMP'],
    zone_windowed: [`SELECT LAG(at_zone) OVER (ORDER BY ${DAY}) AS x FROM events`, 'TIMESTAMPTZ'],
    united: [`SELECT ${DAY} AS x FROM events UNION ALL SELECT ${DAY} FROM events`, 'TIMESTAMP'],
    zone_united: [
      `SELECT ${DAY} AS x FROM events UNION ALL SELECT at_zone FROM events`,
      'TIMESTAMPTZ',
    ],
    grouped: [
      `WITH days AS (SELECT ${DAY} AS day, at_zone FROM events),
        pairs AS (SELECT a.day, b.day AS x FROM days a JOIN days b ON a.day = b.day)
      SELECT x FROM pairs GROUP BY GROUPING SETS ((day, x), (day))`,
      'TIMESTAMP',
    ],
    chosen: [`SELECT CASE WHEN at_zone > at THEN ${DAY} END AS x FROM events`, 'TIMESTAMP'],
    asked: [`SELECT (SELECT MAX(x) FROM (SELECT ${DAY} AS x FROM events)) AS x`, 'TIMESTAMP'],
    nothing: ['SELECT NULL AS x', 'INTEGER'],
  };

  test('comes in the types of DuckDB, the same rows', async () => {
    await using dir = await temporary();
    await using warehouse = await open(join(dir.path, 'work'));
    const steps = Object.entries(TYPES).map(
      ([name, [sql]]) => ({ kind: 'view', name, sql, after: [] }) as const,
    );
    const directory = join(dir.path, 'days');
    const sql = `SELECT id, ${DAY} AS day, ${ZONE_DAY} AS zone_day, 'it''s \\n "so"' AS said
      FROM events -- it's
      ORDER BY id DESC NULLS LAST`;
    const days = { kind: 'table', name: 'days', directory, after: [], sql } as const;
    const length = { ...days, name: 'length', directory: join(dir.path, 'length') };
    const results = await withEvents(
      dir.path,
      [...steps, days, { ...length, sql: 'SELECT at - at AS length FROM events' }],
      warehouse,
    );
    const found = results
      .slice(0, steps.length)
      .map((result) => [
        result.name,
        result.outcome === 'done' ? result.columns[0]?.type : JSON.stringify(result),
      ]);
    assert.deepEqual(
      found,
      Object.entries(TYPES).map(([name, [, type]]) => [name, type]),
    );
    const [kept, refused] = results.slice(steps.length);
    assert.deepEqual(await rowsOf(dir.path, kept), [
      [2, '2026-01-03 00:00:00', '2026-01-03 00:00:00+00', 'it\'s \\n "so"'],
      [1, '2026-01-02 00:00:00', '2026-01-02 00:00:00+00', 'it\'s \\n "so"'],
      [0, '2026-01-01 00:00:00', '2026-01-01 00:00:00+00', 'it\'s \\n "so"'],
    ]);
    assert.ok(refused?.outcome === 'failed');
    assert.match(refused.problem, /^column length is an interval/);
  });
});

test('a standalone cluster runs a job, and is told where its files are', async () => {
  await using dir = await temporary();
  const folder = join(dir.path, 'cluster');
  await mkdir(folder);
  await using cluster = await temporarySparkCluster(spark, folder);
  await using warehouse = await open(join(dir.path, 'work'), cluster.master);
  const sql = 'SELECT id, COUNT(*) AS n FROM events GROUP BY id ORDER BY id NULLS LAST';
  const directory = join(dir.path, 'counts');
  const counts = { kind: 'table', name: 'counts', directory, after: [], sql } as const;
  const [result] = await withEvents(dir.path, [counts], warehouse);
  assert.deepEqual(await rowsOf(dir.path, result), [
    [0, 1],
    [1, 1],
    [2, 1],
  ]);
  assert.match(await cluster.worker.logged(), /Asked to launch executor .* for millrace/);
  // As compose.yaml asks for their health.
  for (const page of cluster.pages) await run(HEALTH, [String(page)], { timeout: 3000 });
  await assert.rejects(run(HEALTH, [String(await freePort())], { timeout: 3000 }));
});

test('a Spark that is killed amid a step is unavailable, and leaves no files', async () => {
  await using dir = await temporary();
  await using warehouse = await open(join(dir.path, 'work'));
  const directory = join(dir.path, 'endless');
  const endless = { kind: 'table', name: 'endless', directory, after: [], sql: ENDLESS } as const;
  const kill = async (): Promise<void> => {
    const java = (await processesIn(dir.path)).find(({ command }) => /^\S*java /.test(command));
    process.kill(java?.pid ?? Number.NaN, 'SIGKILL');
  };
  const killed: Promise<void>[] = [];
  const job = { relations: [], steps: [endless] };
  await assert.rejects(
    warehouse.run(job, (event) => void ('started' in event && killed.push(kill())), never),
    (error) => {
      assert.ok(error instanceof MillraceError && error.code === 'warehouse_unavailable');
      assert.match(String(error.facts['found']), /^ended with (137|SIGKILL)$/);
      return true;
    },
  );
  await Promise.all(killed);
  await eventually('all of it ended', async () => (await processesIn(dir.path)).length === 0);
  assert.deepEqual((await readdir(dir.path)).toSorted(), ['work']);
  assert.deepEqual(await readdir(join(dir.path, 'work')), []);
});

test('Spark ends when the process that started it is killed', async () => {
  await using dir = await temporary();
  const program = join(import.meta.dirname, '../programs/spark-for-ever.ts');
  const args = [program, spark.submit, join(dir.path, 'work'), ENDLESS];
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let isUnderWay = false;
  for await (const _ of child.stdout) {
    isUnderWay = (await processesIn(dir.path)).length > 0;
    child.kill('SIGKILL');
  }
  assert.ok(isUnderWay);
  await eventually('all of it ended', async () => (await processesIn(dir.path)).length === 0);
});
