import { existsSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { Lake } from '../../batch/lake/lake.ts';
import { EMPTY_MANIFEST, type Manifest } from '../../batch/lake/manifest.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import type { Warehouse } from '../../ports/warehouse.ts';
import type { Config } from '../config/config.ts';
import type { Pipeline } from '../pipeline.ts';

/** What of the configuration says where batch works, and with what. */
export type BatchPlaces = Pick<Config, 'lake' | 'batch'>;

export function openLake({ lake }: Pick<BatchPlaces, 'lake'>): Promise<Lake> {
  return Lake.open(lake.dir);
}

/** For who looks at models, with a lake or without: it makes no folder where there is none. */
export async function manifestThere(places: Pick<BatchPlaces, 'lake'>): Promise<Manifest> {
  return hasLake(places.lake.dir) ? (await openLake(places)).manifest() : EMPTY_MANIFEST;
}

/** For who only reads: it makes no folder where there is none. Throws `lake_missing`. */
export async function openLakeThere(places: Pick<BatchPlaces, 'lake'>): Promise<Lake> {
  const { dir } = places.lake;
  if (!hasLake(dir)) throw new MillraceError('lake_missing', { lake: dir });
  return openLake(places);
}

function hasLake(dir: string): boolean {
  return existsSync(join(dir, 'manifests'));
}

/**
 * An engine of one's own. Only who asks it something loads its library. What it spills lies in the
 * lake; where there is none, or it can't be written to, as by someone who may only read it, with the
 * system's temporary files.
 */
export async function openEngine({
  lake,
  batch,
}: Readonly<{
  lake: Pick<Config['lake'], 'dir'>;
  batch: Pick<Config['batch'], 'memory'>;
}>): Promise<SqlEngine> {
  const { DuckDbEngine } = await import('../../adapters/duckdb/engine.ts');
  const memoryLimit = batch.memory;
  const elsewhere = join(tmpdir(), `millrace-${userInfo().uid}`);
  const tempDirectory = hasLake(lake.dir) ? temporaryIn(lake) : elsewhere;
  try {
    return await DuckDbEngine.open({ memoryLimit, tempDirectory });
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    return DuckDbEngine.open({ memoryLimit, tempDirectory: elsewhere });
  }
}

/** What runs models. `environment` is given to programs that it starts. */
export async function openWarehouse(
  { lake, batch }: BatchPlaces,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Warehouse> {
  if (batch.warehouse.kind === 'spark') {
    const { SparkWarehouse } = await import('../../adapters/spark/warehouse.ts');
    const { submit, master } = batch.warehouse;
    return SparkWarehouse.open({ submit, master, workDir: temporaryIn(lake), env: environment });
  }
  const { DuckDbWarehouse } = await import('../../adapters/duckdb/warehouse.ts');
  return DuckDbWarehouse.open({
    memoryLimit: batch.memory,
    tempDirectory: temporaryIn(lake),
  });
}

/** The folder of a pipeline's models; undefined when it has none. */
export function modelsDirOf({ models }: Pipeline, pipelineDir: string): string | undefined {
  const dir = resolve(pipelineDir, models ?? 'models');
  return models === undefined && !existsSync(dir) ? undefined : dir;
}

function temporaryIn({ dir }: Pick<Config['lake'], 'dir'>): string {
  return join(dir, 'tmp');
}
