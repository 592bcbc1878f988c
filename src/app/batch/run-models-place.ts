import { MillraceError } from '../../domain/errors.ts';
import { readConfig } from '../config/config.ts';
import { loadPipeline } from '../config/load-pipeline.ts';
import type { ModelsAt } from './model-commands.ts';
import { OpenLineage } from './open-lineage.ts';
import { modelsDirOf, openEngine, openLake, openWarehouse } from './open.ts';
import type { CheckPlace, ModelsPlace } from './run-models.ts';
import { modelSources } from './source-catalogue.ts';

/** All that commands work with that run models, or test them. */
export type OpenModels = AsyncDisposable & ModelsPlace & CheckPlace;

/**
 * With `tell`, runs are also told to who listens at OPENLINEAGE_URL. Throws `pipeline_invalid`, `usage` when the pipeline has no models, and what
 * opening throws.
 */
export async function openModels(
  { dataDir, pipelineDir, env }: ModelsAt,
  tell?: Readonly<{ onWarning: (text: string) => void }>,
): Promise<OpenModels> {
  const config = readConfig(env, { dataDir });
  const pipeline = await loadPipeline(pipelineDir, env);
  const modelsDir = modelsDirOf(pipeline, pipelineDir);
  if (modelsDir === undefined)
    throw new MillraceError('usage', {
      expected: 'a folder of models beside pipeline.ts: models/*.sql',
      found: `none in ${pipelineDir}`,
    });
  await using stack = new AsyncDisposableStack();
  const lake = await openLake(config);
  const engine = stack.use(await openEngine(config));
  const warehouse = stack.use(await openWarehouse(config, env));
  const open = stack.move();
  return {
    lake,
    engine,
    warehouse,
    modelsDir,
    variables: pipeline.modelVariables ?? {},
    openLineage:
      tell === undefined
        ? undefined
        : OpenLineage.of({
            config,
            pipeline,
            onFailure: (why) => tell.onWarning(`OpenLineage: ${why}`),
          }),
    sourcesOf: async (models, signal) =>
      modelSources({ config, pipeline, pipelineDir, env }, await lake.manifest(), models, signal),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}
