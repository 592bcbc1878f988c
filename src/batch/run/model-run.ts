import { stat } from 'node:fs/promises';
import { dirname, relative, sep } from 'node:path';
import { must } from '../../lib/must.ts';
import type { StepResult, Warehouse } from '../../ports/warehouse.ts';
import { flushFolder } from '../../lib/flush-file.ts';
import type { Lake } from '../lake/lake.ts';
import type { LakeModel } from '../lake/manifest.ts';
import { stateOf } from '../lake/state.ts';
import type { Model, Variables } from '../models/model.ts';
import { lakeSources, type SourceTable } from '../models/source-table.ts';
import { type PlannedModel, type PlannedTest, planRun, type RunPlan } from './plan.ts';
import {
  newRunId,
  remove,
  removeRemains,
  resultFolder,
  saveReport,
  scratchFolder,
} from './run-folders.ts';
import type { ModelReport, RunReport, TestReport } from './run-report.ts';
import { RunResults } from './run-results.ts';
import { tellSteps } from './told-step.ts';

export type RunOptions = Readonly<{
  lake: Lake;
  warehouse: Warehouse;
  /** All of the project, each after those it reads. */
  models: readonly Model[];
  /** Names of those to make. */
  build: ReadonlySet<string>;
  /** Names of those whose tests are asked. */
  test: ReadonlySet<string>;
  /** Results of models that are no longer among `models` are dropped. */
  dropsOthers?: boolean;
  /** Incremental models are made as a whole. */
  fullRefresh: boolean;
  /** What models are given as the present time. */
  runStartedAtMs: number;
  variables: Variables;
  onEvent: (event: RunEvent) => void;
  signal: AbortSignal;
}>;

/** How far a run is: `number` of `total` models, or tests, have ended. */
export type RunEvent =
  | Readonly<{
      kind: 'started';
      what: 'model' | 'test';
      name: string;
      number: number;
      total: number;
    }>
  | Readonly<{ kind: 'model'; report: ModelReport; number: number; total: number }>
  | Readonly<{ kind: 'test'; report: TestReport; number: number; total: number }>;

/**
 * Makes models and asks their tests, over one version of the lake. What was made well counts for
 * readers from one commit on, all of it; what failed, or stands after what failed, keeps its last
 * good result. Failures of models and tests are in the report.
 *
 * Throws `lake_busy` while another run makes models on the lake, `warehouse_unavailable`, what the
 * lake throws, and the signal's reason; then nothing has changed for readers.
 */
export async function runModels(options: RunOptions): Promise<RunReport> {
  const { lake, build } = options;
  if (build.size === 0) return new ModelRun(options).run();
  using _lock = lake.lock('models');
  await removeRemains(lake);
  return await new ModelRun(options).run();
}

class ModelRun {
  readonly #options: RunOptions;
  readonly #runId: string;
  readonly #startedAtMs = Date.now();
  readonly #startedMs = performance.now();

  constructor(options: RunOptions) {
    this.#options = options;
    this.#runId = newRunId(this.#startedAtMs);
  }

  async run(): Promise<RunReport> {
    const { lake, warehouse, runStartedAtMs } = this.#options;
    const manifest = await lake.manifest();
    const plan = planRun({
      ...this.#options,
      manifest,
      damaged: await damagedIn(lake, Object.values(manifest.models)),
      runId: this.#runId,
      path: (path) => lake.path(path),
      state: (table, offsets) =>
        stateOf(lake, table, offsets === undefined ? undefined : { offsets }),
    });
    // Results that a manifest may name; when a commit fails, the next run finds out whether one does.
    const kept = new Set<string>();
    try {
      const results = await this.#work(plan, lakeSources(manifest));
      const models = plan.models.map((planned) => results.modelOf(planned));
      const made = await this.#resultsOf(plan, models);
      for (const { name } of made) kept.add(name);
      const dropped = await this.#commit(made);
      const report: RunReport = {
        runId: this.#runId,
        startedAtMs: this.#startedAtMs,
        runStartedAtMs,
        seconds: (performance.now() - this.#startedMs) / 1000,
        warehouse: warehouse.description,
        version: manifest.version,
        models,
        tests: plan.tests.map((planned) => results.testOf(planned)),
        ...(dropped.length > 0 && { dropped }),
      };
      await saveReport(lake, report);
      return report;
    } finally {
      await remove(lake, scratchFolder(this.#runId));
      for (const { model, how } of plan.models)
        if (!kept.has(model.name) && how !== 'unchanged')
          await remove(lake, resultFolder(model.name, this.#runId));
    }
  }

  async #work(plan: RunPlan, sources: readonly SourceTable[]): Promise<RunResults> {
    const { lake, warehouse, models: all, onEvent, signal } = this.#options;
    const told = tellSteps(plan, { models: all, sources });
    const results = new RunResults(plan);
    const models = new Map<string, PlannedModel>();
    const tests = new Map(plan.tests.map((planned) => [planned.step, planned]));
    const counts = {
      model: { number: 0, total: plan.models.length },
      test: { number: 0, total: plan.tests.length },
    };
    const tellModel = (planned: PlannedModel): void => {
      counts.model.number += 1;
      onEvent({ kind: 'model', report: results.modelOf(planned), ...counts.model });
    };
    const tellTest = (planned: PlannedTest): void => {
      counts.test.number += 1;
      onEvent({ kind: 'test', report: results.testOf(planned), ...counts.test });
    };
    for (const planned of plan.models)
      if (planned.how === 'unchanged' || planned.how === 'refused') tellModel(planned);
      else models.set(planned.step, planned);
    for (const planned of plan.tests) if (planned.step === undefined) tellTest(planned);
    const onStep: Parameters<Warehouse['run']>[1] = (event) => {
      const step = 'started' in event ? event.started : event.name;
      const [model, test] = [models.get(step), tests.get(step)];
      if ('started' in event) {
        if (model !== undefined)
          onEvent({ kind: 'started', what: 'model', name: model.model.name, ...counts.model });
        if (test !== undefined)
          onEvent({ kind: 'started', what: 'test', name: test.test.name, ...counts.test });
        return;
      }
      results.add(told(inLake(event, lake)));
      if (model !== undefined) tellModel(model);
      if (test !== undefined) tellTest(test);
    };
    await warehouse.run(plan.job, onStep, signal);
    return results;
  }

  /** Of the models that were made anew, and well. */
  async #resultsOf(plan: RunPlan, reports: readonly ModelReport[]): Promise<readonly LakeModel[]> {
    const made: LakeModel[] = [];
    for (const [index, planned] of plan.models.entries()) {
      const report = must(reports[index], 'every model has a report');
      if (report.outcome !== 'done' || report.how === 'unchanged') continue;
      const result = await this.#resultOf(planned, report);
      if (result.files.length > 0) await this.#flush(result.name);
      made.push(result);
    }
    return made;
  }

  /** Returns the names of the models whose results are dropped. */
  async #commit(made: readonly LakeModel[]): Promise<readonly string[]> {
    const { lake, models, dropsOthers = false } = this.#options;
    const known = new Set(models.map(({ name }) => name));
    const dropped = dropsOthers
      ? Object.keys((await lake.manifest()).models).filter((name) => !known.has(name))
      : [];
    if (made.length === 0 && dropped.length === 0) return [];
    await lake.commit((manifest) => {
      const atMs = Date.now();
      const gone = [...made.map(({ name }) => name), ...dropped];
      const replaced = gone.flatMap((name) => manifest.models[name]?.files ?? []);
      const kept = Object.entries(manifest.models).filter(([name]) => !dropped.includes(name));
      return {
        ...manifest,
        models: Object.fromEntries([...kept, ...made.map((each) => [each.name, each] as const)]),
        removed: [...manifest.removed, ...replaced.map(({ path }) => ({ path, atMs }))],
      };
    });
    return dropped;
  }

  async #resultOf(
    planned: PlannedModel,
    report: Extract<ModelReport, { outcome: 'done' }>,
  ): Promise<LakeModel> {
    const { lake } = this.#options;
    if (planned.how === 'unchanged' || planned.how === 'refused')
      throw new Error(`bug: ${report.name} was not to be made`);
    const { fingerprint, inputs, viewSql } = planned;
    const files = await Promise.all(
      report.files.map(async (path) => ({ path, bytes: (await stat(lake.path(path))).size })),
    );
    return {
      name: report.name,
      materialization: planned.model.header.materialization,
      runId: this.#runId,
      builtAtMs: this.#startedAtMs,
      fingerprint,
      columns: report.columns,
      rows: report.rows,
      files,
      ...(viewSql !== undefined && { sql: viewSql }),
      inputs,
    };
  }

  /** The names of folders; the warehouse has flushed the files. */
  async #flush(model: string): Promise<void> {
    const folder = this.#options.lake.path(resultFolder(model, this.#runId));
    const ofModel = dirname(folder);
    for (const each of [folder, ofModel, dirname(ofModel)]) await flushFolder(each);
  }
}

/** Of the models, those of whose files one is not there, or has another length. */
async function damagedIn(lake: Lake, models: readonly LakeModel[]): Promise<ReadonlySet<string>> {
  const damaged = new Set<string>();
  for (const { name, files } of models)
    for (const { path, bytes } of files) {
      const found = await stat(lake.path(path)).catch(() => undefined);
      if (found?.size !== bytes) damaged.add(name);
    }
  return damaged;
}

/** With paths as the lake has them. */
function inLake(result: StepResult, lake: Lake): StepResult {
  if (result.outcome !== 'done') return result;
  const files = result.files.map((file) => relative(lake.dir, file).split(sep).join('/'));
  return { ...result, files };
}
