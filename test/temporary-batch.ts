import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDbEngine } from '../src/adapters/duckdb/engine.ts';
import { DuckDbWarehouse } from '../src/adapters/duckdb/warehouse.ts';

/** A folder for a lake and for models, with DuckDB to run them; all gone at the end. */
export class TemporaryBatch implements AsyncDisposable {
  readonly dir: string;
  readonly engine: DuckDbEngine;
  readonly warehouse: DuckDbWarehouse;

  private constructor(dir: string, engine: DuckDbEngine, warehouse: DuckDbWarehouse) {
    this.dir = dir;
    this.engine = engine;
    this.warehouse = warehouse;
  }

  static async create(): Promise<TemporaryBatch> {
    const dir = await mkdtemp(join(tmpdir(), 'millrace-batch-'));
    const options = { memoryLimit: '256MB', threads: 1, tempDirectory: join(dir, 'tmp') };
    const engine = await DuckDbEngine.open(options);
    return new TemporaryBatch(dir, engine, await DuckDbWarehouse.open(options));
  }

  get lakeDir(): string {
    return join(this.dir, 'lake');
  }

  get modelsDir(): string {
    return join(this.dir, 'models');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.warehouse[Symbol.asyncDispose]();
    await this.engine[Symbol.asyncDispose]();
    await rm(this.dir, { recursive: true, force: true });
  }
}
