import type { Variables } from '../../batch/models/model.ts';
import { formatProblem } from '../../batch/models/problem.ts';
import {
  failedModels,
  isFailure,
  isGood,
  type RunReport,
  waitingModels,
} from '../../batch/run/run-report.ts';
import type { UnitTestReport } from '../../batch/run/unit-tests.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { SqlRows } from '../../ports/sql-engine.ts';
import { readConfig } from '../config/config.ts';
import { callOperation } from '../operations/call.ts';
import type { ArgumentsOf, OperationName, ValueOf } from '../operations/operations.ts';
import type { OperationPlace } from '../operations/remote-context.ts';
import type { ModelsAt } from './model-commands.ts';
import {
  checkModels,
  type RunEvent,
  runModelsInTurn,
  runModelsOnce,
  runUnitTestsOnce,
} from './run-models.ts';
import { type OpenModels, openModels } from './run-models-place.ts';

/** Longer than most runs take; after it the run ends with `lake_busy`. */
const PATIENCE_MS = 60_000;

/** Where the models are, and the Millrace that may be running. */
export type CommandPlace = Readonly<{ models: ModelsAt; operations: OperationPlace }>;

export type RunCommandOptions = Readonly<{
  select: readonly string[];
  exclude: readonly string[];
  tests: 'after' | 'none';
  fullRefresh: boolean;
  variables: Variables;
  onWarning: (text: string) => void;
  onEvent: (event: RunEvent) => void;
  signal: AbortSignal;
}>;

/**
 * Has what runs write all that is in the log into the lake, checks models, makes them, and has the
 * results served. Returns what became of it, and the keys served. Throws `models_invalid` before
 * anything runs; a run that failed is told by `refuseFailed`.
 */
export async function runAndServe(
  place: CommandPlace,
  options: RunCommandOptions,
): Promise<Readonly<{ report: RunReport; keys: readonly string[] }>> {
  const { signal } = options;
  await using models = await openModels(place.models, options);
  for (const warning of await checkModels(models, options))
    options.onWarning(formatProblem(warning));
  const flushed = await ask(place.operations, 'lake.flush', {}, signal);
  if (flushed?.problem !== undefined)
    options.onWarning(`the lake may lack the newest changes: ${flushed.problem}`);
  const { report } = await runModelsInTurn(models, {
    ...options,
    patienceMs: PATIENCE_MS,
    onWait: () => options.onWarning('another run is under way: this one begins at its end'),
  });
  const args = { report, modelsDir: models.modelsDir, lakeDir: models.lake.dir };
  const served = await ask(place.operations, 'models.serve', args, signal);
  for (const problem of served?.problems ?? []) options.onWarning(problem);
  return { report, keys: served?.keys ?? [] };
}

export function lakeDirOf({ dataDir, env }: ModelsAt): string {
  return readConfig(env, { dataDir }).lake.dir;
}

/** Undefined where no Millrace runs, and there is no data directory to do it in. */
async function ask<Name extends OperationName>(
  place: OperationPlace,
  name: Name,
  args: ArgumentsOf<Name>,
  signal: AbortSignal,
): Promise<ValueOf<Name> | undefined> {
  try {
    for await (const value of callOperation(place, name, args, signal)) return value;
  } catch (error) {
    if (!(error instanceof MillraceError && error.code === 'not_running')) throw error;
  }
  signal.throwIfAborted();
  return undefined;
}

export type TestCommandOptions = Readonly<{
  select: readonly string[];
  exclude: readonly string[];
  /** Unit tests alone; else also the data tests, of the results that there are. */
  unitOnly: boolean;
  variables: Variables;
  onUnitTest: (report: UnitTestReport) => void;
  onEvent: (event: RunEvent) => void;
  signal: AbortSignal;
}>;

/** What tests said; `firstRows` of data tests that failed, by the test's name. */
export type TestedModels = Readonly<{
  unit: readonly UnitTestReport[];
  data?: RunReport;
  firstRows: Readonly<Record<string, SqlRows>>;
}>;

export async function testModels(at: ModelsAt, options: TestCommandOptions): Promise<TestedModels> {
  await using models = await openModels(at);
  const onReport = options.onUnitTest;
  const unit = await runUnitTestsOnce(models, { ...options, onReport });
  if (options.unitOnly) return { unit, firstRows: {} };
  const { report } = await runModelsOnce(models, { ...options, tests: 'only' });
  return { unit, data: report, firstRows: await firstFailingRows(report, models) };
}

const SHOWN_ROWS = 5;

async function firstFailingRows(
  { tests }: RunReport,
  { lake, engine }: OpenModels,
): Promise<Readonly<Record<string, SqlRows>>> {
  const found: Record<string, SqlRows> = {};
  for (const test of tests) {
    if (test.outcome !== 'failed' || test.files.length === 0) continue;
    const files = test.files.map((file) => `'${lake.path(file).replaceAll("'", "''")}'`).join(', ');
    found[test.name] = await engine.query(
      `SELECT * FROM read_parquet([${files}]) LIMIT ${SHOWN_ROWS}`,
    );
  }
  return found;
}

/**
 * Throws `models_failed` when something failed; tests of severity `warn` do not. Else, where
 * something waits, `models_waiting`.
 */
export function refuseFailed(
  report: RunReport | undefined,
  unit: readonly UnitTestReport[] = [],
): void {
  const failedUnit = unit.filter(({ outcome }) => outcome !== 'passed');
  if ((report === undefined || isGood(report)) && failedUnit.length === 0) {
    refuseWaiting(report);
    return;
  }
  const models = report === undefined ? [] : failedModels(report);
  const tests = [
    ...(report?.tests ?? []).filter((test) => test.severity === 'error' && isFailure(test)),
    ...failedUnit,
  ].map(({ name }) => name);
  throw new MillraceError('models_failed', {
    ...(models.length > 0 && { models }),
    ...(tests.length > 0 && { tests }),
  });
}

function refuseWaiting(report: RunReport | undefined): void {
  if (report === undefined) return;
  const models = waitingModels(report);
  const tests = report.tests.flatMap((test) => (test.outcome === 'waiting' ? [test] : []));
  const [first] = [...models, ...tests];
  if (first === undefined) return;
  throw new MillraceError('models_waiting', {
    ...(models.length > 0
      ? { models: models.map(({ name }) => name) }
      : { tests: tests.map(({ name }) => name) }),
    found: first.for,
  });
}
