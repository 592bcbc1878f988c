import { type LineageGraph, lineageGraph } from '../../batch/lineage/lineage-graph.ts';
import { type JobEvent, jobEvents } from '../../batch/lineage/open-lineage.ts';
import { selectModels } from '../../batch/models/selection.ts';
import { compileProject, type ModelsAt } from './model-commands.ts';
import { lineageOptions } from './lineage-options.ts';
import { namesOf } from './open-lineage.ts';
import { openEngine } from './open.ts';

export type { ColumnOrigin, LineageGraph, LineageNode } from '../../batch/lineage/lineage-graph.ts';
export { mermaid } from '../../batch/lineage/mermaid.ts';

/** Models, as those who print them need them. */
export type ProjectLineage = Readonly<{
  graph: LineageGraph;
  /** As OpenLineage has it: an event a model. */
  events: readonly JobEvent[];
}>;

/** Throws `models_invalid`, and `usage` for a selection of nothing. */
export async function projectLineage(
  at: ModelsAt,
  select: readonly string[],
  signal: AbortSignal,
): Promise<ProjectLineage> {
  const { project, compilation, sources, manifest, place } = await compileProject(at, signal);
  const { config, pipeline } = place;
  const selected = new Set(selectModels(project, select).map(({ name }) => name));
  await using engine = await openEngine(config);
  const { models } = compilation;
  const facts = { models, sources, manifest, config };
  const graph = lineageGraph({ ...(await lineageOptions(engine, facts)), selected });
  return { graph, events: jobEvents(graph, namesOf({ config, pipeline }), Date.now()) };
}
