import type { StepResult } from '../../ports/warehouse.ts';
import { affectedRelation } from './incremental.ts';
import { checkStep, type PlannedModel, type PlannedTest, type RunPlan } from './plan.ts';
import type { ModelReport, TestReport } from './run-report.ts';

/**
 * What the results of steps say of models and tests. Knows what has ended so far; what has not is
 * held to be well.
 */
export class RunResults {
  readonly #plan: RunPlan;
  readonly #models: ReadonlySet<string>;
  readonly #tests: ReadonlyMap<string, string>;
  readonly #results = new Map<string, StepResult>();

  constructor(plan: RunPlan) {
    this.#plan = plan;
    this.#models = new Set(plan.models.map(({ model }) => model.name));
    this.#tests = new Map(plan.tests.map(({ test }) => [checkStep(test), test.name]));
  }

  add(result: StepResult): void {
    this.#results.set(result.name, result);
  }

  /** A model is done only when no test of severity `error` failed, or was kept from being asked. */
  modelOf(planned: PlannedModel): ModelReport {
    const { name, file } = planned.model;
    const report = this.#made(planned);
    if (report.outcome !== 'done') return report;
    for (const each of this.#plan.tests) {
      if (each.model.name !== name || each.test.severity !== 'error') continue;
      // What it asks for has never been made: that is not this model's fault.
      if (each.step === undefined) continue;
      const problem = testProblem(this.testOf(each));
      if (problem === undefined) continue;
      const { line } = each.test;
      return { name, file, seconds: report.seconds, outcome: 'failed', problem, line };
    }
    return report;
  }

  #made(planned: PlannedModel): ModelReport {
    const { model } = planned;
    const { name, file } = model;
    const beside = { name, file, seconds: 0 };
    if (planned.how === 'unchanged') {
      const { rows, columns, files } = planned.result;
      const paths = files.map(({ path }) => path);
      return { ...beside, outcome: 'done', how: 'unchanged', rows, columns, files: paths };
    }
    if (planned.how === 'refused') {
      const { problem } = planned;
      if (planned.waits) return { ...beside, outcome: 'waiting', for: problem };
      const { because } = planned;
      if (because !== undefined) return { ...beside, outcome: 'skipped', because };
      return { ...beside, outcome: 'failed', problem };
    }
    const result = this.#results.get(planned.step);
    const { how, why, sqlLine } = planned;
    const done = { outcome: 'done', how, ...(why !== undefined && { why }) } as const;
    if (result === undefined) return { ...beside, ...done, rows: 0, columns: [], files: [] };
    const { seconds } = result;
    switch (result.outcome) {
      case 'done': {
        const { rows, columns, files } = result;
        return { ...beside, seconds, ...done, rows, columns, files };
      }
      case 'failed': {
        const { problem, line } = result;
        const inFile =
          line === undefined || line < sqlLine ? undefined : model.line + line - sqlLine;
        return {
          ...beside,
          seconds,
          outcome: 'failed',
          problem,
          ...(inFile !== undefined && { line: inFile }),
        };
      }
      case 'skipped':
        return { ...beside, seconds, ...this.#reasonOf(result.because, name) };
      default:
        return result satisfies never;
    }
  }

  testOf({ model, test, ...planned }: PlannedTest): TestReport {
    const { name, severity, line } = test;
    const beside = { name, model: model.name, file: model.file, line, severity, seconds: 0 };
    if (planned.step === undefined) {
      const { problem } = planned;
      if (planned.waits) return { ...beside, outcome: 'waiting', for: problem };
      return { ...beside, outcome: 'skipped', because: problem };
    }
    const result = this.#results.get(planned.step);
    if (result === undefined) return { ...beside, outcome: 'passed' };
    const { seconds } = result;
    switch (result.outcome) {
      case 'done': {
        const { rows, files } = result;
        if (rows === 0) return { ...beside, seconds, outcome: 'passed' };
        return { ...beside, seconds, outcome: 'failed', rows, files };
      }
      case 'failed': {
        const { problem } = result;
        const at = test.kind === 'sql' && result.line !== undefined ? line + result.line - 1 : line;
        return { ...beside, line: at, seconds, outcome: 'error', problem };
      }
      case 'skipped': {
        const reason = this.#reasonOf(result.because, '');
        if (reason.outcome === 'skipped') return { ...beside, seconds, ...reason };
        return { ...beside, seconds, outcome: 'error', problem: reason.problem };
      }
      default:
        return result satisfies never;
    }
  }

  /**
   * Why a step was skipped: for a model or a test, the first one in the chain to fail, or for a step
   * that people do not know, what it said.
   */
  #reasonOf(
    step: string,
    model: string,
    nearest?: string,
  ): Readonly<{ outcome: 'skipped'; because: string } | { outcome: 'failed'; problem: string }> {
    const result = this.#results.get(step);
    const known = (this.#models.has(step) ? step : this.#tests.get(step)) ?? nearest;
    if (result?.outcome === 'skipped') return this.#reasonOf(result.because, model, known);
    if (known !== undefined) return { outcome: 'skipped', because: known };
    const said = result?.outcome === 'failed' ? result.problem : 'it failed';
    const what =
      step === affectedRelation(model)
        ? 'what has changed'
        : (this.#plan.sources.get(step) ?? step);
    return { outcome: 'failed', problem: `${what} could not be read: ${said}` };
  }
}

function testProblem(report: TestReport): string | undefined {
  const { name } = report;
  switch (report.outcome) {
    case 'passed':
      return undefined;
    case 'failed':
      return `its test ${name} found ${report.rows === 1 ? 'a row' : `${report.rows} rows`} that should not be`;
    case 'error':
      return `its test ${name} could not be asked: ${report.problem}`;
    case 'skipped':
      return `its test ${name} was not asked, because of ${report.because}`;
    case 'waiting':
      return `its test ${name} was not asked: ${report.for}`;
    default:
      return report satisfies never;
  }
}
