import { MillraceError } from '../../domain/errors.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { loadPipeline } from '../config/load-pipeline.ts';
import { modelsDirOf, openEngine, openLake, openWarehouse } from './open.ts';
import type { ModelsPlace } from './run-models.ts';

/** What commands on models work with. */
export type OpenModels = AsyncDisposable &
  ModelsPlace &
  Readonly<{
    /** For what is asked beside a run. */
    engine: SqlEngine;
  }>;

/** Throws `pipeline_invalid`, `models_invalid` when the pipeline has no models, and what opening throws. */
export async function openModels(
  config: Pick<Config, 'lake' | 'batch'>,
  pipelineDir: string,
  environment: Environment,
): Promise<OpenModels> {
  const pipeline = await loadPipeline(pipelineDir, environment);
  const modelsDir = modelsDirOf(pipeline, pipelineDir);
  if (modelsDir === undefined)
    throw new MillraceError('models_invalid', {
      problems: [`${pipelineDir} has no folder models, nor does pipeline.ts name another`],
    });
  await using stack = new AsyncDisposableStack();
  const lake = await openLake(config);
  const engine = stack.use(await openEngine(config));
  const warehouse = stack.use(await openWarehouse(config, environment));
  const open = stack.move();
  const variables = pipeline.modelVariables ?? {};
  return {
    lake,
    engine,
    warehouse,
    modelsDir,
    variables,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}
