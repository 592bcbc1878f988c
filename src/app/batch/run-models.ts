import type { Lake } from '../../batch/lake/lake.ts';
import type { Model, Variables } from '../../batch/models/model.ts';
import { loadModels } from '../../batch/models/project.ts';
import { selectModels } from '../../batch/models/selection.ts';
import { type RunEvent, runModels } from '../../batch/run/model-run.ts';
import type { RunReport } from '../../batch/run/run-report.ts';
import type { Warehouse } from '../../ports/warehouse.ts';

/** What a run of models works with. */
export type ModelsPlace = Readonly<{
  lake: Lake;
  warehouse: Warehouse;
  modelsDir: string;
  /** Those of the pipeline; a run's own win. */
  variables: Variables;
}>;

export type RunModelsOptions = Readonly<{
  /** As `selectModels` takes it; nothing: all models. */
  select?: readonly string[];
  exclude?: readonly string[];
  /** `only`: nothing is made, and the tests are asked of what there is. Default `after`. */
  tests?: 'after' | 'only' | 'none';
  fullRefresh?: boolean;
  variables?: Variables;
  /** What models take as the present time; default, this instant. */
  runStartedAtMs?: number;
  onEvent?: (event: RunEvent) => void;
  signal: AbortSignal;
}>;

/**
 * Makes the models of a folder as its files are now, and asks their tests. What failed is in the
 * report, beside the models of the folder, for whoever serves them. Throws `models_invalid` when a
 * file is wrong, `usage` for a selection of nothing, and what `runModels` throws.
 */
export async function runModelsOnce(
  { lake, warehouse, modelsDir, variables }: ModelsPlace,
  options: RunModelsOptions,
): Promise<Readonly<{ report: RunReport; models: readonly Model[] }>> {
  const project = await loadModels(modelsDir);
  const { select = [], exclude = [], tests = 'after', signal } = options;
  const selected = new Set(selectModels(project, select, exclude).map(({ name }) => name));
  const report = await runModels({
    lake,
    warehouse,
    models: project.models,
    build: tests === 'only' ? new Set() : selected,
    test: tests === 'none' ? new Set() : selected,
    fullRefresh: options.fullRefresh ?? false,
    runStartedAtMs: options.runStartedAtMs ?? Date.now(),
    variables: { ...variables, ...options.variables },
    onEvent: options.onEvent ?? (() => {}),
    signal,
  });
  return { report, models: project.models };
}
