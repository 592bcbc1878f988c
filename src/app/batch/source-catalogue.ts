import { lakeTypeOf } from '../../batch/lake/column-type.ts';
import type { Manifest } from '../../batch/lake/manifest.ts';
import type { Model } from '../../batch/models/model.ts';
import { findSource, lakeSources, type SourceTable } from '../../batch/models/source-table.ts';
import { MillraceError, REMEDIES } from '../../domain/errors.ts';
import { connectionOf } from '../compose.ts';
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { connectorFileOf, readConnector } from '../config/load-pipeline.ts';
import { describeTables } from '../described-tables.ts';
import { embeddedServer } from '../operations/generate.ts';
import type { Pipeline } from '../pipeline.ts';

export type CataloguePlace = Readonly<{
  config: Config;
  pipeline: Pipeline;
  pipelineDir: string;
  env: Environment;
}>;

/**
 * The tables that models may read, with their columns: those of the lake; and, when models name
 * others, those of the source: of them the lake just has no change yet. Throws what says that the
 * source is away when the lake is empty too.
 */
export async function modelSources(
  place: CataloguePlace,
  manifest: Manifest,
  models: readonly Model[],
  signal: AbortSignal,
): Promise<readonly SourceTable[]> {
  const inLake = lakeSources(manifest);
  const named = models.flatMap(({ sources, testSources }) => [...sources, ...testSources]);
  if (named.every((source) => findSource(inLake, source) !== undefined)) return inLake;
  const others = await sourceTables(place, signal).catch((error: unknown) => {
    // One that is away is not asked, where the lake knows of tables at all.
    const isAway = error instanceof MillraceError && REMEDIES[error.code].exit === 69;
    if (isAway && inLake.length > 0) return [];
    throw error;
  });
  const known = new Set(inLake.map(({ schema, name }) => `${schema}.${name}`));
  return [...inLake, ...others.filter(({ schema, name }) => !known.has(`${schema}.${name}`))];
}

async function sourceTables(
  { config, pipeline, pipelineDir, env }: CataloguePlace,
  signal: AbortSignal,
): Promise<readonly SourceTable[]> {
  const { source, dataDir } = config;
  const server = source.kind === 'server' ? source.server : await embeddedServer(dataDir, signal);
  const engine = config.connector.kind;
  const connector = readConnector(connectorFileOf(pipeline, pipelineDir), env, server, engine);
  const tables = await describeTables(connectionOf(connector, source), connector, engine);
  return tables.map(({ schema, name, columns }) => ({
    schema,
    name,
    columns: columns.map((column) => ({ name: column.name, type: lakeTypeOf(column.sqlType) })),
    dropped: [],
  }));
}
