import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { version } from '@duckdb/node-api';
import { MillraceError } from '../../domain/errors.ts';
import { flushFile, flushFolder } from '../../lib/flush-file.ts';
import type { SqlColumn } from '../../ports/sql-engine.ts';
import type {
  FileRelation,
  StepResult,
  Warehouse,
  WarehouseJob,
  WarehouseStep,
} from '../../ports/warehouse.ts';
import { DuckDbEngine, type DuckDbOptions } from './engine.ts';
import { literal, quoted } from './quote.ts';
import { refusalOf, sumsOf } from './result-type.ts';

type StepOf<K extends WarehouseStep['kind']> = Extract<WarehouseStep, { kind: K }>;
type Done = Pick<Extract<StepResult, { outcome: 'done' }>, 'rows' | 'files' | 'columns'>;

/**
 * Runs each job on a DuckDB of its own, in this process. A result is one Parquet file, zstd, its
 * rows in the query's order. Sums of whole numbers, HUGEINT in DuckDB, become BIGINT, as they are
 * in Spark; other types that Spark can't read from Parquet fail the step.
 */
export class DuckDbWarehouse implements Warehouse {
  readonly description = `DuckDB ${version().replace(/^v/, '')}`;
  readonly dialect = 'duckdb';
  readonly #options: DuckDbOptions;

  private constructor(options: DuckDbOptions) {
    this.#options = options;
  }

  static async open(options: DuckDbOptions): Promise<DuckDbWarehouse> {
    return new DuckDbWarehouse(options);
  }

  async run(
    job: WarehouseJob,
    onStep: (event: Readonly<{ started: string }> | StepResult) => void,
    signal: AbortSignal,
  ): Promise<readonly StepResult[]> {
    signal.throwIfAborted();
    await using engine = await this.#start();
    const running = new RunningJob(engine, signal);
    for (const relation of job.relations) await running.define(relation);
    const results: StepResult[] = [];
    const failed = new Set<string>();
    for (const step of job.steps) {
      const because = step.after.find((name) => failed.has(name));
      if (because === undefined) onStep({ started: step.name });
      const result: StepResult =
        because === undefined
          ? await running.take(step)
          : { name: step.name, seconds: 0, outcome: 'skipped', because };
      if (!isPassed(step, result)) failed.add(step.name);
      results.push(result);
      onStep(result);
    }
    return results;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Every run has closed what it opened.
  }

  async #start(): Promise<DuckDbEngine> {
    try {
      return await DuckDbEngine.open(this.#options);
    } catch (error) {
      const found = error instanceof Error ? error.message : String(error);
      throw new MillraceError('warehouse_unavailable', { engine: this.description, found }, error);
    }
  }
}

function isPassed(step: WarehouseStep, result: StepResult): boolean {
  if (result.outcome !== 'done') return false;
  return !(step.kind === 'check' && step.severity === 'error' && result.rows > 0);
}

class RunningJob {
  readonly #engine: DuckDbEngine;
  readonly #signal: AbortSignal;
  /** Relations that could not be opened, by name: what steps that read them shall say. */
  readonly #broken = new Map<string, string>();

  constructor(engine: DuckDbEngine, signal: AbortSignal) {
    this.#engine = engine;
    this.#signal = signal;
  }

  async define(relation: FileRelation): Promise<void> {
    try {
      const view = `CREATE VIEW ${quoted(relation.name)} AS ${selectOf(relation)}`;
      await this.#engine.run(view, this.#signal);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#broken.set(relation.name, failureOf(error).problem);
    }
  }

  async take(step: WarehouseStep): Promise<StepResult> {
    const { name } = step;
    const startedAt = performance.now();
    const seconds = () => (performance.now() - startedAt) / 1000;
    try {
      const done = await this.#work(step);
      return { name, seconds: seconds(), outcome: 'done', ...done };
    } catch (error) {
      this.#signal.throwIfAborted();
      const failure = failureOf(error);
      return { name, seconds: seconds(), outcome: 'failed', ...this.#explained(failure) };
    }
  }

  #work(step: WarehouseStep): Promise<Done> {
    switch (step.kind) {
      case 'view':
        return this.#view(step);
      case 'table':
        return this.#table(step);
      case 'check':
        return this.#check(step);
    }
  }

  async #view({ name, sql }: StepOf<'view'>): Promise<Done> {
    const columns = await this.#engine.columnsOf(sql, this.#signal);
    await this.#engine.run(
      `CREATE VIEW ${quoted(name)} AS ${asStored(sql, columns)}`,
      this.#signal,
    );
    return { rows: 0, files: [], columns: columns.map(stored) };
  }

  async #table({ name, sql, directory }: StepOf<'table'>): Promise<Done> {
    const columns = await this.#accepted(sql);
    const { rows, file } = await this.#write(asStored(sql, columns), directory);
    const kept: FileRelation = { name, files: [file], columns: columns.map(stored) };
    await this.#engine.run(`CREATE VIEW ${quoted(name)} AS ${selectOf(kept)}`, this.#signal);
    return { rows, files: [file], columns: kept.columns };
  }

  async #check({ sql, keep, directory }: StepOf<'check'>): Promise<Done> {
    const columns = await this.#accepted(sql);
    const counted = await this.#engine.query(
      `SELECT count(*) FROM (${bare(sql)}\n)`,
      [],
      this.#signal,
    );
    const rows = Number(counted.rows[0]?.[0]);
    if (rows === 0 || keep === 0) return { rows, files: [], columns: [] };
    const first = `SELECT * FROM (${asStored(sql, columns)}\n) LIMIT ${keep}`;
    const { file } = await this.#write(first, directory);
    return { rows, files: [file], columns: [] };
  }

  async #accepted(sql: string): Promise<readonly SqlColumn[]> {
    const columns = await this.#engine.columnsOf(sql, this.#signal);
    const problem = refusalOf(columns);
    if (problem !== undefined) throw new MillraceError('sql_failed', { problem });
    return columns;
  }

  async #write(sql: string, directory: string): Promise<{ rows: number; file: string }> {
    const file = join(directory, 'rows.parquet');
    await mkdir(dirname(directory), { recursive: true });
    await mkdir(directory);
    try {
      const copy = `COPY (${sql}\n) TO ${literal(file)} (FORMAT parquet, COMPRESSION zstd)`;
      const rows = await this.#engine.run(copy, this.#signal);
      await flushFile(file);
      await flushFolder(dirname(directory));
      return { rows, file };
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** That a relation isn't there is not what the reader should hear, when it is because its files are damaged. */
  #explained(failure: Failure): Failure {
    for (const [name, problem] of this.#broken)
      if (failure.problem.includes(`Table with name ${name} does not exist`)) return { problem };
    return failure;
  }
}

type Failure = Readonly<{ problem: string; line?: number }>;

/** Throws what isn't of the statement's or the disk's doing. */
function failureOf(error: unknown): Failure {
  if (error instanceof MillraceError) {
    const { problem, line, file, dir } = error.facts;
    switch (error.code) {
      case 'sql_failed':
        return { problem: String(problem), ...(typeof line === 'number' && { line }) };
      case 'lake_file_damaged':
        return { problem: `The file ${String(file)} is missing or damaged: ${String(problem)}` };
      case 'disk_full':
        return { problem: `No space is left on the disk of ${String(dir)}.` };
    }
  }
  if (error instanceof Error && 'syscall' in error) return { problem: error.message };
  throw error;
}

function selectOf({ files, columns }: FileRelation): string {
  if (files.length === 0) {
    const nulls = columns.map(({ name, type }) => `CAST(NULL AS ${type}) AS ${quoted(name)}`);
    return `SELECT ${nulls.join(', ')} WHERE false`;
  }
  const names = columns.map(({ name }) => quoted(name)).join(', ');
  // Folders named `day=…` are ours to make sense of, not the engine's.
  return `SELECT ${names} FROM read_parquet([${files.map(literal).join(', ')}], hive_partitioning = false)`;
}

/** Begins on the line on which the SQL does, so that the engine's line numbers are the SQL's. */
function asStored(sql: string, columns: readonly SqlColumn[]): string {
  const casts = sumsOf(columns).map(
    ({ name }) => `CAST(${quoted(name)} AS BIGINT) AS ${quoted(name)}`,
  );
  if (casts.length === 0) return bare(sql);
  return `SELECT * REPLACE (${casts.join(', ')}) FROM (${bare(sql)}\n)`;
}

function stored({ name, type }: SqlColumn): SqlColumn {
  return { name, type: type === 'HUGEINT' ? 'BIGINT' : type };
}

function bare(sql: string): string {
  return sql.replace(/[;\s]+$/, '');
}
