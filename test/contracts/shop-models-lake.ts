import assert from 'node:assert/strict';
import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDbEngine } from '../../src/adapters/duckdb/engine.ts';
import { MemoryEventLog } from '../../src/adapters/memory/event-log.ts';
import { PostgresClient } from '../../src/adapters/postgres/client.ts';
import { LakePart } from '../../src/app/batch/lake-part.ts';
import { runModelsOnce } from '../../src/app/batch/run-models.ts';
import { Lake } from '../../src/batch/lake/lake.ts';
import { stateOf } from '../../src/batch/lake/state.ts';
import { compileModels } from '../../src/batch/models/compile.ts';
import type { Problem } from '../../src/batch/models/problem.ts';
import { loadModels } from '../../src/batch/models/project.ts';
import type { RunReport } from '../../src/batch/run/run-report.ts';
import { readUnitTests, type UnitTest } from '../../src/batch/run/unit-test-file.ts';
import { runUnitTests, type UnitTestReport } from '../../src/batch/run/unit-tests.ts';
import { lakeSources } from '../../src/batch/models/source-table.ts';
import { must } from '../../src/lib/must.ts';
import type { Warehouse } from '../../src/ports/warehouse.ts';
import { capturing, connectorConfig, recordsOf, until } from '../capture.ts';
import { type TemporaryPostgres, temporaryPostgres } from '../postgres.ts';

const PIPELINE = join(import.meta.dirname, '../../pipelines/shop');
const TABLES = 'public.customers,public.products,public.orders,public.order_items,public.outbox';
const OPTIONS = {
  'topic.prefix': 'dbserver1',
  'table.include.list': TABLES,
  'skipped.operations': 'none',
};
const MODELS = join(PIPELINE, 'models');
const MEMORY = '512MB';
const NEVER = new AbortController().signal;

/** A cell as text; `type` is DuckDB's. */
export type LakeRows = Readonly<{
  columns: readonly Readonly<{ name: string; type: string }>[];
  rows: readonly (readonly (string | null)[])[];
}>;

export type OpenWarehouse = (workDir: string) => Promise<Warehouse>;

/** The shop on a server of its own, followed into a lake of its own, with its models. */
export class ShopLake implements AsyncDisposable {
  readonly source: PostgresClient;
  readonly #log: MemoryEventLog;
  readonly #lake: Lake;
  readonly #writer: LakePart;
  readonly #warehouse: Warehouse;
  readonly #engine: DuckDbEngine;
  readonly #open: AsyncDisposableStack;
  #applied = 0;
  #jobs = 0;

  private constructor(
    parts: Readonly<{
      source: PostgresClient;
      log: MemoryEventLog;
      lake: Lake;
      writer: LakePart;
      warehouse: Warehouse;
      engine: DuckDbEngine;
      open: AsyncDisposableStack;
    }>,
  ) {
    this.source = parts.source;
    this.#log = parts.log;
    this.#lake = parts.lake;
    this.#writer = parts.writer;
    this.#warehouse = parts.warehouse;
    this.#engine = parts.engine;
    this.#open = parts.open;
  }

  /** `rows` are there before capture begins. */
  static async open(rows: string, openWarehouse: OpenWarehouse): Promise<ShopLake> {
    await using open = new AsyncDisposableStack();
    const server = open.use(await temporaryPostgres());
    const source = open.use(await PostgresClient.connect(server));
    await source.query(await readFile(join(PIPELINE, 'schema.sql'), 'utf8'));
    await source.query(rows);
    const dir = open.use(await mkdtempDisposable(join(tmpdir(), 'millrace-shop-lake-'))).path;
    const log = open.use(new MemoryEventLog());
    const writer = startWriter(server, log, join(dir, 'lake'), open);
    const capture = await capturing(server, log, OPTIONS);
    open.defer(capture.stop);
    const temporary = { memoryLimit: MEMORY, tempDirectory: join(dir, 'tmp') };
    const warehouse = open.use(await openWarehouse(join(dir, 'warehouse')));
    const engine = open.use(await DuckDbEngine.open(temporary));
    const lake = await Lake.open(join(dir, 'lake'));
    return new ShopLake({ source, log, lake, writer, warehouse, engine, open: open.move() });
  }

  /** Has the lake hold what these did to the source, a transaction each. */
  async apply(statements: readonly string[]): Promise<void> {
    for (const statement of statements) await this.source.query(statement);
    this.#applied += 1;
    const mark = `applied ${this.#applied}`;
    await this.source.query(
      `INSERT INTO outbox VALUES (gen_random_uuid(), 'test', '${mark}', 'applied', '{}')`,
    );
    await until(() => this.#isLogged(mark));
    await this.#writer.flush();
  }

  /** Makes all models, and asks all of their tests. */
  async run(runStartedAtMs: number): Promise<RunReport> {
    const place = {
      lake: this.#lake,
      warehouse: this.#warehouse,
      modelsDir: MODELS,
      variables: {},
    };
    const { report } = await runModelsOnce(place, { runStartedAtMs, signal: NEVER });
    return report;
  }

  /** Asks the unit tests beside the models. */
  async unitTests(): Promise<readonly UnitTestReport[]> {
    const project = await loadModels(MODELS);
    const sources = lakeSources(await this.#lake.manifest());
    const common = { engine: this.#engine, sources, variables: {} };
    const { models } = await compileModels(project, common, NEVER);
    const problems: Problem[] = [];
    const tests: UnitTest[] = [];
    for (const { model } of models) tests.push(...(await readUnitTests(project, model, problems)));
    assert.deepEqual(problems, []);
    return runUnitTests(tests, { ...common, models, onReport: () => {}, signal: NEVER });
  }

  /** The result of a model's last run. */
  async result(model: string): Promise<LakeRows> {
    const { models } = await this.#lake.manifest();
    const { files } = must(models[model], `${model} was made`);
    return await this.#readFiles(files.map(({ path }) => this.#lake.path(path)));
  }

  /** The rows of its tables as the lake has them, by name, by way of the warehouse. */
  async states(): Promise<ReadonlyMap<string, LakeRows>> {
    const { tables } = await this.#lake.manifest();
    const states = Object.values(tables).map((table) => ({
      name: table.name,
      ...stateOf(this.#lake, table),
    }));
    this.#jobs += 1;
    const steps = states.map(({ name, sql }) => {
      const directory = this.#lake.path(`states/${this.#jobs}/${name}`);
      return { kind: 'table', name: `state_${name}`, sql, after: [], directory } as const;
    });
    const relations = states.flatMap((state) => state.relations);
    const results = await this.#warehouse.run({ relations, steps }, () => {}, NEVER);
    const rows = new Map<string, LakeRows>();
    for (const [at, result] of results.entries()) {
      if (result.outcome !== 'done') throw new Error(JSON.stringify(result));
      rows.set(must(states[at], 'a result a step').name, await this.#readFiles(result.files));
    }
    return rows;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.disposeAsync();
  }

  async #isLogged(mark: string): Promise<boolean> {
    const records = await recordsOf(this.#log, 'dbserver1.public.outbox');
    return records.some(({ value }) => value !== null && Buffer.from(value).includes(mark));
  }

  async #readFiles(files: readonly string[]): Promise<LakeRows> {
    const list = files.map((file) => `'${file}'`).join(', ');
    const { columns } = await this.#engine.query(`SELECT * FROM read_parquet([${list}]) LIMIT 0`);
    const { rows } = await this.#engine.query(
      `SELECT CAST(COLUMNS(*) AS VARCHAR) FROM read_parquet([${list}])`,
    );
    return { columns, rows: rows as LakeRows['rows'] };
  }
}

function startWriter(
  server: TemporaryPostgres,
  log: MemoryEventLog,
  dir: string,
  open: AsyncDisposableStack,
): LakePart {
  const writer = new LakePart({
    places: {
      lake: { dir, isNamed: false, flushMs: 60_000, retentionMs: 86_400_000 },
      batch: { intervalMs: 0, memory: MEMORY, warehouse: { kind: 'duckdb' } },
    },
    log,
    connector: connectorConfig(server, OPTIONS),
    connection: server,
    engine: 'native',
    requestCopy: () => Promise.reject(new Error('the log holds all')),
    isInKafka: false,
    onChange: () => {},
  });
  const stopping = new AbortController();
  const done = writer.run(stopping.signal);
  open.defer(async () => {
    stopping.abort();
    await done;
  });
  return writer;
}
