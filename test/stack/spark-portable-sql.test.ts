import assert from 'node:assert/strict';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DuckDbEngine } from '../../src/adapters/duckdb/engine.ts';
import { DuckDbWarehouse } from '../../src/adapters/duckdb/warehouse.ts';
import { SparkWarehouse } from '../../src/adapters/spark/warehouse.ts';
import { sqlIdentifier } from '../../src/batch/models/literal.ts';
import { must } from '../../src/lib/must.ts';
import type { SqlColumn, SqlValue } from '../../src/ports/sql-engine.ts';
import type { StepResult, Warehouse, WarehouseStep } from '../../src/ports/warehouse.ts';
import { CASES, COLUMNS, FUNCTIONS, ROWS } from '../portable-sql.ts';
import { installedSpark } from './servers/spark.ts';

/** What the linter finds nothing in: by name. */
const QUERIES: ReadonlyMap<string, string> = new Map(
  [
    ...Object.entries(CASES).flatMap(([rule, [, fine]]) =>
      fine.map((sql, index) => [`${rule} ${index + 1}`, sql] as const),
    ),
    ...Object.entries(FUNCTIONS),
  ].map(([name, sql]) => [name, sql]),
);

type Made = Readonly<{ columns: readonly SqlColumn[]; rows: readonly (readonly SqlValue[])[] }>;

describe('SQL that the linter lets pass', () => {
  const made: Record<'duckdb' | 'spark', Map<string, Made | string>> = {
    duckdb: new Map(),
    spark: new Map(),
  };
  const stack = new AsyncDisposableStack();
  before(async () => {
    const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'millrace-portable-')));
    const dir = folder.path;
    const engine = stack.use(
      await DuckDbEngine.open({ memoryLimit: '256MB', tempDirectory: join(dir, 'engine') }),
    );
    const columns = COLUMNS.map(({ name, type }) => `${name} ${type}`);
    await engine.run(`CREATE TABLE t (${columns.join(', ')})`);
    await engine.run(`INSERT INTO t VALUES ${ROWS.join(', ')}`);
    const file = join(dir, 't.parquet');
    await engine.run(`COPY t TO '${file}' (FORMAT parquet)`);
    const spark = await installedSpark();
    const env = { ...process.env, ...spark.env };
    const warehouses: Record<'duckdb' | 'spark', () => Promise<Warehouse>> = {
      duckdb: () =>
        DuckDbWarehouse.open({ memoryLimit: '256MB', tempDirectory: join(dir, 'duckdb') }),
      spark: () =>
        SparkWarehouse.open({
          submit: spark.submit,
          master: 'local[2]',
          workDir: join(dir, 'spark'),
          env,
        }),
    };
    for (const name of ['duckdb', 'spark'] as const) {
      await using warehouse = await warehouses[name]();
      const results = await run(warehouse, file, join(dir, `results-${name}`));
      for (const [index, query] of [...QUERIES.keys()].entries())
        made[name].set(query, await rowsOf(engine, must(results[index], 'one a step')));
    }
  });
  after(() => stack.disposeAsync());

  for (const [name, sql] of QUERIES)
    test(`gives the same on DuckDB and Spark: ${name}`, () => {
      assert.deepEqual(made.spark.get(name), made.duckdb.get(name), sql);
      assert.equal(typeof made.spark.get(name), 'object', JSON.stringify(made.spark.get(name)));
    });
});

function run(warehouse: Warehouse, file: string, dir: string): Promise<readonly StepResult[]> {
  const steps = [...QUERIES.values()].map((sql, index): WarehouseStep => {
    const name = `q${index}`;
    return { kind: 'table', name, sql, after: [], directory: join(dir, name) };
  });
  const relations = [{ name: 't', files: [file], columns: COLUMNS }];
  return warehouse.run({ relations, steps }, () => {}, new AbortController().signal);
}

/** In one order, doubles to a part in 10^12; or why there are none. */
async function rowsOf(engine: DuckDbEngine, result: StepResult): Promise<Made | string> {
  if (result.outcome !== 'done')
    return result.outcome === 'failed' ? result.problem : result.outcome;
  const { columns } = result;
  if (result.files.length === 0) return { columns, rows: [] };
  const files = result.files.map((file) => `'${file}'`).join(', ');
  const names = columns.map(({ name }) => sqlIdentifier(name)).join(', ');
  const { rows } = await engine.query(`SELECT ${names} FROM read_parquet([${files}])`);
  const rounded = rows.map((row) =>
    row.map((value, index) =>
      columns[index]?.type === 'DOUBLE' && typeof value === 'number'
        ? Number(value.toPrecision(12))
        : value,
    ),
  );
  const order = (row: readonly SqlValue[]) => JSON.stringify(row);
  return { columns, rows: rounded.toSorted((a, b) => (order(a) < order(b) ? -1 : 1)) };
}
