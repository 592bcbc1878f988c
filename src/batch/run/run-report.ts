import type { SqlColumn } from '../../ports/sql-engine.ts';

/** What became of a run, or of asking tests alone; kept in the lake as JSON. */
export type RunReport = Readonly<{
  /** Sorts by time. */
  runId: string;
  startedAtMs: number;
  /** The time that models and tests were given as theirs. */
  runStartedAtMs: number;
  seconds: number;
  /** The warehouse, as it describes itself. */
  warehouse: string;
  /** Version of the lake that was read. */
  version: number;
  models: readonly ModelReport[];
  tests: readonly TestReport[];
  /** Names of models that are no longer in the project, whose results this run dropped; absent without any. */
  dropped?: readonly string[];
}>;

export type ModelReport = Readonly<{
  name: string;
  /** As messages show it, such as `models/customer_segments.sql`. */
  file: string;
  seconds: number;
}> &
  (
    | Readonly<{
        outcome: 'done';
        how: 'view' | 'full' | 'incremental' | 'unchanged';
        /** Why an incremental model was made as a whole. */
        why?: string;
        rows: number;
        columns: readonly SqlColumn[];
        /** In the lake; none of a view. */
        files: readonly string[];
      }>
    /** Its last good result stays. `line` is the file's. */
    | Readonly<{ outcome: 'failed'; problem: string; line?: number }>
    /** So does this one's; `because` is the model or the test that kept it from being made. */
    | Readonly<{ outcome: 'skipped'; because: string }>
    /** And this one's, until what `for` says has ended: a later run makes it. */
    | Readonly<{ outcome: 'waiting'; for: string }>
  );

export type TestReport = Readonly<{
  name: string;
  model: string;
  file: string;
  line: number;
  severity: 'warn' | 'error';
  seconds: number;
}> &
  (
    | Readonly<{ outcome: 'passed' }>
    /** The first of the rows that should not be are in these files of the lake. */
    | Readonly<{ outcome: 'failed'; rows: number; files: readonly string[] }>
    /** It could not be asked. */
    | Readonly<{ outcome: 'error'; problem: string }>
    | Readonly<{ outcome: 'skipped'; because: string }>
    | Readonly<{ outcome: 'waiting'; for: string }>
  );

/** Names of the models that were to be made and were not, each once; those that wait are not among them. */
export function failedModels({ models }: RunReport): readonly string[] {
  return models
    .filter(({ outcome }) => outcome !== 'done' && outcome !== 'waiting')
    .map(({ name }) => name);
}

/** Models that wait, each with what for. */
export function waitingModels({
  models,
}: RunReport): readonly Readonly<{ name: string; for: string }>[] {
  return models.flatMap((each) =>
    each.outcome === 'waiting' ? [{ name: each.name, for: each.for }] : [],
  );
}

/** Whether a test says that something is wrong, or can't say that it is not. */
export function isFailure({ outcome }: TestReport): boolean {
  return outcome === 'failed' || outcome === 'error';
}

/** All that was to be made was made or waits, and no test of severity `error` failed. */
export function isGood(report: RunReport): boolean {
  return (
    failedModels(report).length === 0 &&
    !report.tests.some((test) => test.severity === 'error' && isFailure(test))
  );
}
