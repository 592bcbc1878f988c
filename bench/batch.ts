import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { DuckDbEngine } from '../src/adapters/duckdb/engine.ts';
import { DuckDbWarehouse } from '../src/adapters/duckdb/warehouse.ts';
import { SparkWarehouse } from '../src/adapters/spark/warehouse.ts';
import { runModelsOnce } from '../src/app/batch/run-models.ts';
import { inlineFiles } from '../src/batch/lake/inline-files.ts';
import { Lake } from '../src/batch/lake/lake.ts';
import type { ChangeFile, LakeBase, LakeTable } from '../src/batch/lake/manifest.ts';
import { baseOf } from '../src/batch/lake/state.ts';
import { sqlString } from '../src/batch/models/literal.ts';
import { must } from '../src/lib/must.ts';
import type { Warehouse } from '../src/ports/warehouse.ts';
import type { Figures } from './figures.ts';
import { median } from './statistics.ts';

const ITEMS = 10_000_000;
const UPDATES = 1_000_000;
/** As the writer makes them in a while, and compaction joins them. */
const CHANGE_FILES = 10;
const ROUNDS = 3;
/** What MILLRACE_DUCKDB_MEMORY is by default. */
const MEMORY = '512MB';
const MODELS = join(import.meta.dirname, '../pipelines/shop/models');
const RUN_MS = Date.UTC(2026, 5, 1);

type Columns = Readonly<Record<string, string>>;

/** Of row `i`; small tables, wide rows left out where no model reads them. */
const TABLES: Readonly<
  Record<string, Readonly<{ rows: number; columns: Columns; values: string }>>
> = {
  customers: {
    rows: ITEMS / 100,
    columns: {
      id: 'INTEGER',
      first_name: 'VARCHAR',
      last_name: 'VARCHAR',
      email: 'VARCHAR',
      city: 'VARCHAR',
      state: 'VARCHAR',
      created_at: 'TIMESTAMP',
      updated_at: 'TIMESTAMP',
    },
    values: `i, 'First ' || i % 977, 'Last ' || i % 1979, 'c' || i || '@example.com', 'City ' || i % 300, ['CA', 'NY', 'TX', 'IL', 'WA', 'Ohio', NULL][1 + i % 7], TIMESTAMP '2025-01-01', TIMESTAMP '2025-01-01'`,
  },
  products: {
    rows: ITEMS / 1000,
    columns: {
      id: 'INTEGER',
      name: 'VARCHAR',
      price: 'DECIMAL(10,2)',
      category: 'VARCHAR',
      stock_quantity: 'INTEGER',
      created_at: 'TIMESTAMP',
      updated_at: 'TIMESTAMP',
    },
    values: `i, 'Product ' || i, (1 + hash(i) % 50000) / 100, 'Category ' || i % 20, hash(i + 1) % 700, TIMESTAMP '2025-01-01', TIMESTAMP '2025-01-01'`,
  },
  orders: {
    rows: ITEMS / 3,
    columns: {
      id: 'INTEGER',
      customer_id: 'INTEGER',
      order_date: 'TIMESTAMP',
      total_amount: 'DECIMAL(10,2)',
      status: 'VARCHAR',
      created_at: 'TIMESTAMP',
      updated_at: 'TIMESTAMP',
    },
    values: `i, hash(i) % ${ITEMS / 100}, TIMESTAMP '2025-06-01' + INTERVAL (i * 9) SECOND, (hash(i + 3) % 90000) / 100, ['pending', 'shipped', 'delivered', 'cancelled'][CAST(1 + hash(i + 4) % 4 AS INTEGER)], TIMESTAMP '2025-06-01', TIMESTAMP '2025-06-01'`,
  },
  order_items: {
    rows: ITEMS,
    columns: {
      id: 'INTEGER',
      order_id: 'INTEGER',
      product_id: 'INTEGER',
      quantity: 'INTEGER',
      unit_price: 'DECIMAL(10,2)',
      created_at: 'TIMESTAMP',
    },
    values: `i, i // 3, hash(i) % ${ITEMS / 1000}, 1 + hash(i + 5) % 5, (100 + hash(i + 6) % 40000) / 100, TIMESTAMP '2025-06-01' + INTERVAL (i * 3) SECOND`,
  },
};
/** Of update `i`: of any item, with another price and quantity. */
const UPDATED = `hash(i) % ${ITEMS}, (hash(i) % ${ITEMS}) // 3, hash(hash(i) % ${ITEMS}) % ${ITEMS / 1000}, 1 + hash(i + 8) % 5, (100 + hash(i + 9) % 40000) / 100, TIMESTAMP '2025-06-01'`;

/**
 * The shop's models over ten million order items: a base and a million updates on top of it, which is
 * what the lake has of a table between compactions; beside it the same models over plain Parquet of
 * the rows that come out of it. On Spark too, where it is installed.
 */
export async function benchBatch(): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  try {
    const { merged, plain } = await prepare(folder);
    const tempDirectory = join(folder, 'tmp');
    const seconds: number[] = [];
    const raw: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await using warehouse = await DuckDbWarehouse.open({ memoryLimit: MEMORY, tempDirectory });
      raw.push(await secondsOf(plain, warehouse));
      seconds.push(await secondsOf(merged, warehouse));
    }
    const ratios = seconds.map((each, round) => each / (raw[round] ?? Number.NaN));
    const spark = await sparkSeconds(merged, folder);
    return {
      seconds: hundredths(median(seconds)),
      raw_seconds: hundredths(median(raw)),
      ratio: hundredths(median(ratios)),
      ...(spark !== undefined && { spark_seconds: hundredths(spark) }),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function secondsOf(lake: Lake, warehouse: Warehouse): Promise<number> {
  const started = performance.now();
  const { report } = await runModelsOnce(
    { lake, warehouse, modelsDir: MODELS, variables: {} },
    {
      tests: 'none',
      fullRefresh: true,
      runStartedAtMs: RUN_MS,
      signal: new AbortController().signal,
    },
  );
  const failed = report.models.filter(({ outcome }) => outcome !== 'done');
  if (failed.length > 0) throw new Error(`models failed: ${JSON.stringify(failed)}`);
  return (performance.now() - started) / 1000;
}

async function sparkSeconds(lake: Lake, folder: string): Promise<number | undefined> {
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((dir) => join(dir, 'spark-submit'))
    .find((file) => existsSync(file));
  const submit = process.env['MILLRACE_SPARK_SUBMIT'] ?? onPath;
  if (submit === undefined) return undefined;
  await using warehouse = await SparkWarehouse.open({
    submit,
    master: process.env['MILLRACE_SPARK_MASTER'] ?? 'local[*]',
    workDir: join(folder, 'spark'),
    env: process.env,
  });
  return secondsOf(lake, warehouse);
}

async function prepare(folder: string): Promise<Readonly<{ merged: Lake; plain: Lake }>> {
  const tempDirectory = join(folder, 'tmp');
  await using engine = await DuckDbEngine.open({ memoryLimit: MEMORY, tempDirectory });
  const merged = await Lake.open(join(folder, 'merged'));
  const plain = await Lake.open(join(folder, 'plain'));
  for (const name of Object.keys(TABLES)) {
    const table = await baseTable(merged, engine, name);
    if (name !== 'order_items') {
      await add(merged, table);
      await add(plain, await baseTable(plain, engine, name));
      continue;
    }
    const changes: ChangeFile[] = [];
    for (let number = 0; number < CHANGE_FILES; number += 1)
      changes.push(await changeFile(merged, engine, number));
    const updated = { ...table, changes, offsets: { 0: ITEMS + UPDATES } };
    await add(merged, updated);
    const [base] = table.bases;
    const [file] = must(base, 'it was made').files;
    const { path } = must(file, 'it was made');
    const state = inlineFiles(baseOf(merged, updated, { offsets: updated.offsets }));
    const rows = await copy(engine, state, plain.path(path));
    const bases = [{ ...must(base, 'it was made'), rows, files: [{ path, rows, bytes: 0 }] }];
    await add(plain, { ...table, bases });
  }
  return { merged, plain };
}

function add(lake: Lake, table: LakeTable): Promise<unknown> {
  return lake.commit((manifest) => ({
    ...manifest,
    tables: { ...manifest.tables, [table.topic]: table },
  }));
}

async function baseTable(lake: Lake, engine: DuckDbEngine, name: string): Promise<LakeTable> {
  const { rows, columns, values } = must(TABLES[name], 'a table of the bench');
  const count = Math.floor(rows);
  const path = `bases/shop.public.${name}/base.parquet`;
  const own = `CAST(0 AS INTEGER) AS __partition, i AS __offset, TIMESTAMP '2026-01-01' AS __commit_time, CAST(NULL AS BIGINT) AS __tx, CAST(NULL AS VARCHAR) AS __unfit`;
  await copy(engine, select(columns, values, own, 0, count), lake.path(path));
  const base: LakeBase = {
    offsets: { 0: count },
    maxTimeMs: Date.UTC(2026, 0, 1) + 1,
    schema: 0,
    rows: count,
    files: [{ path, rows: count, bytes: 0 }],
  };
  return {
    topic: `shop.public.${name}`,
    schema: 'public',
    name,
    key: ['id'],
    schemas: [
      {
        id: 0,
        columns: Object.entries(columns).map(([column, type]) => ({
          name: column,
          source: column,
          type,
          sqlType: type.toLowerCase(),
        })),
      },
    ],
    offsets: { 0: count },
    changes: [],
    bases: [base],
    resets: [],
  };
}

async function changeFile(lake: Lake, engine: DuckDbEngine, number: number): Promise<ChangeFile> {
  const rows = UPDATES / CHANGE_FILES;
  const first = ITEMS + number * rows;
  const path = `changes/shop.public.order_items/day=2026-01-02/${number}.parquet`;
  const own = `'u' AS __op, TIMESTAMP '2026-01-02' AS __commit_time, CAST(0 AS INTEGER) AS __partition, i AS __offset, i AS __tx, i AS __lsn, CAST(NULL AS VARCHAR) AS __unfit, CAST(NULL AS VARCHAR) AS __unavailable`;
  const { columns } = must(TABLES['order_items'], 'it is there');
  await copy(engine, select(columns, UPDATED, own, first, first + rows), lake.path(path));
  const timeMs = Date.UTC(2026, 0, 2);
  return {
    path,
    schema: 0,
    day: '2026-01-02',
    rows,
    bytes: 0,
    offsets: { 0: [first, first + rows - 1] },
    minTimeMs: timeMs,
    maxTimeMs: timeMs,
    unavailable: [],
  };
}

function select(columns: Columns, values: string, own: string, from: number, to: number): string {
  const names = Object.keys(columns);
  const typed = Object.entries(columns).map(
    ([name, type]) => `CAST(${name} AS ${type}) AS ${name}`,
  );
  return `SELECT ${typed.join(', ')}, ${own} FROM (SELECT i, ${values} FROM range(${from}, ${to}) t(i)) AS made(i, ${names.join(', ')})`;
}

async function copy(engine: DuckDbEngine, sql: string, file: string): Promise<number> {
  await mkdir(dirname(file), { recursive: true });
  return engine.run(
    `COPY (${sql}) TO ${sqlString(file)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)`,
  );
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
