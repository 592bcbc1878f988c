import type { Lake } from '../../batch/lake/lake.ts';
import { type Compilation, compileModels } from '../../batch/models/compile.ts';
import type { Model, Variables } from '../../batch/models/model.ts';
import { type Problem, refuse } from '../../batch/models/problem.ts';
import { loadModels, type ModelProject, upstream } from '../../batch/models/project.ts';
import { selectModels } from '../../batch/models/selection.ts';
import type { SourceTable } from '../../batch/models/source-table.ts';
import { type RunEvent, runModels } from '../../batch/run/model-run.ts';
import type { RunReport } from '../../batch/run/run-report.ts';
import { readUnitTests } from '../../batch/run/unit-test-file.ts';
import { runUnitTests, type UnitTestReport } from '../../batch/run/unit-tests.ts';
import { MillraceError } from '../../domain/errors.ts';
import { systemClock } from '../../lib/clock.ts';
import type { OpenLineage } from './open-lineage.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import type { Warehouse } from '../../ports/warehouse.ts';

export type { RunEvent } from '../../batch/run/model-run.ts';
export type { ModelReport, RunReport, TestReport } from '../../batch/run/run-report.ts';
export type { UnitTestReport } from '../../batch/run/unit-tests.ts';

/** Who holds a lock of the file system can't be waited for in any other way. */
const LOOK_EVERY_MS = 200;

/** What a run of models works with. */
export type ModelsPlace = Readonly<{
  lake: Lake;
  warehouse: Warehouse;
  modelsDir: string;
  /** Those of the pipeline; a run's own win. */
  variables: Variables;
  /** Who is told of runs, beside `onEvent`. */
  openLineage?: OpenLineage | undefined;
}>;

/** As `selectModels` takes them; nothing: all models. */
type Selection = Readonly<{ select?: readonly string[]; exclude?: readonly string[] }>;

export type RunModelsOptions = Selection &
  Readonly<{
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
 * file is wrong, `usage` for a selection of nothing, and what `runModels` throws. A model whose SQL
 * does not fit its sources fails alone; to refuse a run for it, see `checkModels`.
 */
export async function runModelsOnce(
  { lake, warehouse, modelsDir, openLineage, ...place }: ModelsPlace,
  options: RunModelsOptions,
): Promise<Readonly<{ report: RunReport; models: readonly Model[] }>> {
  const project = await loadModels(modelsDir);
  const selected = namesOf(chosen(project, options));
  const { tests = 'after', signal } = options;
  const variables = { ...place.variables, ...options.variables };
  const observed = openLineage?.begin();
  try {
    const report = await runModels({
      lake,
      warehouse,
      models: project.models,
      build: tests === 'only' ? new Set() : selected,
      test: tests === 'none' ? new Set() : selected,
      dropsOthers: !options.select?.length && !options.exclude?.length,
      fullRefresh: options.fullRefresh ?? false,
      runStartedAtMs: options.runStartedAtMs ?? Date.now(),
      variables,
      onEvent: (event) => {
        observed?.see(event);
        options.onEvent?.(event);
      },
      signal,
    });
    await observed?.ended({ report, project, variables, lake });
    return { report, models: project.models };
  } catch (error) {
    await observed?.broke(error, signal);
    throw error;
  }
}

/** As `runModelsOnce`; while another run is under way, it waits for its end, and says so. */
export async function runModelsInTurn(
  place: ModelsPlace,
  options: RunModelsOptions & Readonly<{ patienceMs: number; onWait: () => void }>,
): ReturnType<typeof runModelsOnce> {
  const { patienceMs, onWait, signal } = options;
  const startedMs = performance.now();
  for (let isTold = false; ; isTold = true) {
    try {
      return await runModelsOnce(place, options);
    } catch (error) {
      const isBusy = error instanceof MillraceError && error.code === 'lake_busy';
      if (!isBusy || performance.now() - startedMs > patienceMs) throw error;
      if (!isTold) onWait();
      await systemClock.sleep(LOOK_EVERY_MS, signal);
      signal.throwIfAborted();
    }
  }
}

/** What models are checked against, and unit tests run with. */
export type CheckPlace = Pick<ModelsPlace, 'modelsDir' | 'variables'> &
  Readonly<{
    engine: SqlEngine;
    /** Those that these models name, as far as they are known. */
    sourcesOf: (models: readonly Model[], signal: AbortSignal) => Promise<readonly SourceTable[]>;
  }>;

export type CheckOptions = Selection & Readonly<{ variables?: Variables; signal: AbortSignal }>;

/**
 * Finds what is wrong with the chosen models, and with those they read, before anything runs; returns
 * what is no more than a warning. Throws `models_invalid`.
 */
export async function checkModels(
  place: CheckPlace,
  options: CheckOptions,
): Promise<readonly Problem[]> {
  const { compilation } = await compileChosen(await loadModels(place.modelsDir), place, options);
  return compilation.warnings;
}

/**
 * Runs the unit tests of the chosen models. Throws `models_invalid` for what is wrong with a model
 * or a test before any runs.
 */
export async function runUnitTestsOnce(
  place: CheckPlace,
  options: CheckOptions & Readonly<{ onReport: (report: UnitTestReport) => void }>,
): Promise<readonly UnitTestReport[]> {
  const project = await loadModels(place.modelsDir);
  const problems: Problem[] = [];
  const tests = await Promise.all(
    chosen(project, options).map((model) => readUnitTests(project, model, problems)),
  );
  refuse(problems);
  if (tests.flat().length === 0) return [];
  const { compilation, sources, variables } = await compileChosen(project, place, options);
  const { models } = compilation;
  const { onReport, signal } = options;
  const { engine } = place;
  return runUnitTests(tests.flat(), { engine, models, sources, variables, onReport, signal });
}

async function compileChosen(
  project: ModelProject,
  place: CheckPlace,
  options: CheckOptions,
): Promise<
  Readonly<{
    compilation: Compilation;
    sources: readonly SourceTable[];
    variables: Variables;
  }>
> {
  const { engine } = place;
  const { signal } = options;
  const selected = chosen(project, options);
  const named = selected.flatMap(({ name, testRefs }) => [name, ...testRefs]);
  const needed = new Set([...named, ...upstream(project.models, named)]);
  const models = project.models.filter(({ name }) => needed.has(name));
  const sources = await place.sourcesOf(models, signal);
  const variables = { ...place.variables, ...options.variables };
  const known = { engine, sources, variables };
  return {
    compilation: await compileModels({ ...project, models }, known, signal),
    sources,
    variables,
  };
}

function chosen(project: ModelProject, { select = [], exclude = [] }: Selection): readonly Model[] {
  return selectModels(project, select, exclude);
}

function namesOf(models: readonly Model[]): ReadonlySet<string> {
  return new Set(models.map(({ name }) => name));
}
