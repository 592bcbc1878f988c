import type { Manifest } from '../../batch/lake/manifest.ts';
import type { LineageOptions } from '../../batch/lineage/lineage-graph.ts';
import type { CompiledModel } from '../../batch/models/compile.ts';
import type { SourceTable } from '../../batch/models/source-table.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import type { Config } from '../config/config.ts';

/** What lineage is told by, beside which models are selected. */
export async function lineageOptions(
  engine: SqlEngine,
  facts: Readonly<{
    models: readonly CompiledModel[];
    sources: readonly SourceTable[];
    manifest: Manifest;
    config: Pick<Config, 'source'>;
  }>,
): Promise<Omit<LineageOptions, 'selected'>> {
  const { models, sources, manifest, config } = facts;
  const { source } = config;
  const { rows } = await engine.query(
    "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'",
  );
  return {
    models,
    sources,
    database: source.kind === 'server' ? source.server.database : source.database,
    topicOf: ({ schema, name }) =>
      Object.values(manifest.tables).find((table) => table.schema === schema && table.name === name)
        ?.topic,
    aggregates: new Set(rows.map(([name]) => name as string)),
  };
}
