import type { Lake } from '../../batch/lake/lake.ts';
import type { Model } from '../../batch/models/model.ts';
import { isGood, type RunReport, type TestReport } from '../../batch/run/run-report.ts';
import { type QualityResult, type Served, serveRun } from '../../batch/serving/serve-run.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import type { Store } from '../../ports/store.ts';

/**
 * Serves what a run made, by the keys that the models name, and what became of it; once a run.
 * What the run failed to make stays served as it was.
 */
export async function serveReport(
  report: RunReport,
  models: readonly Model[],
  { lake, engine, store }: Readonly<{ lake: Lake; engine: SqlEngine; store: Store }>,
): Promise<Served> {
  const served = new Map(models.map(({ name, header }) => [name, header.serve]));
  const results = report.models.flatMap((made) =>
    made.outcome === 'done'
      ? [
          {
            model: made.name,
            serve: served.get(made.name) ?? [],
            files: made.files.map((file) => lake.path(file)),
            rows: made.rows,
          },
        ]
      : [],
  );
  const run = {
    runId: report.runId,
    startedAtMs: report.runStartedAtMs,
    seconds: report.seconds,
    isGood: isGood(report),
    results,
    quality: report.tests.map(qualityOf),
  };
  return serveRun(run, { store, engine });
}

function qualityOf(test: TestReport): QualityResult {
  const { name, model, severity, outcome } = test;
  return {
    test: name,
    model,
    severity,
    outcome,
    failingRows: outcome === 'failed' ? test.rows : 0,
    ...(outcome === 'error' && { problem: test.problem }),
  };
}
