import type { ServedWrite, Store, TaskOffsets } from '../../ports/store.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import type { ServedModel } from '../models/model.ts';

/** In the store, runs are a task's records, and their numbers its offsets. */
const TASK = 'batch';
const RUNS = 'runs-0';
const LAST_RUN = 'last-run';

/** What a run made that is to be served. */
export type ServedResult = Readonly<{
  model: string;
  serve: readonly Omit<ServedModel, 'line'>[];
  /** Absolute paths of Parquet files, in the rows' order. */
  files: readonly string[];
  rows: number;
}>;

/** What became of a model's test. */
export type QualityResult = Readonly<{
  test: string;
  model: string;
  severity: 'warn' | 'error';
  /** `error`: it could not be asked. */
  outcome: 'passed' | 'failed' | 'error' | 'skipped';
  failingRows: number;
  problem?: string;
}>;

export type ServedRun = Readonly<{
  runId: string;
  startedAtMs: number;
  seconds: number;
  /** All that it was to make was made, and no test of severity `error` failed. */
  isGood: boolean;
  results: readonly ServedResult[];
  quality: readonly QualityResult[];
}>;

/**
 * Serves the results of a run, and what became of it, in one commit: readers see all of it or what
 * was before. A run is served once, however often it is asked for. Returns the keys; none when it
 * was served before.
 */
export async function serveRun(
  run: ServedRun,
  { store, engine }: Readonly<{ store: Store; engine: SqlEngine }>,
): Promise<readonly string[]> {
  for (;;) {
    const from = await store.offsets(TASK);
    const [last] = await store.getMany(TASK, [LAST_RUN]);
    if (last === run.runId) return [];
    const number = from[RUNS] ?? 0;
    const served = await writesOf(run, number + 1, engine);
    const to = { [RUNS]: number + 1 };
    const state = [[LAST_RUN, run.runId]] as const;
    try {
      await store.commit({ task: TASK, from, to, state, served, outgoing: [] });
    } catch (error) {
      // Another run was served meanwhile: this one comes after it.
      if (await hasMoved(store, from)) continue;
      throw error;
    }
    return served.map(({ key }) => key);
  }
}

async function hasMoved(store: Store, from: TaskOffsets): Promise<boolean> {
  return (await store.offsets(TASK))[RUNS] !== from[RUNS];
}

async function writesOf(
  run: ServedRun,
  number: number,
  engine: SqlEngine,
): Promise<readonly ServedWrite[]> {
  const models: ServedWrite[] = [];
  for (const result of run.results)
    models.push(...(await writesOfModel(result, run, number, engine)));
  const { isGood, seconds, quality } = run;
  const job = isGood ? 'completed' : 'failed';
  return [
    ...models,
    { op: 'put', key: 'data_quality:latest', value: JSON.stringify(qualityOf(run, quality)) },
    { op: 'add', key: `batch_jobs:${job}`, amount: '1' },
    { op: 'put', key: 'batch_jobs:last_duration', value: seconds.toFixed(3) },
  ];
}

async function writesOfModel(
  { model, serve, files, rows }: ServedResult,
  { runId, startedAtMs }: ServedRun,
  number: number,
  engine: SqlEngine,
): Promise<ServedWrite[]> {
  if (serve.length === 0) return [];
  const limit = Math.max(...serve.map((each) => each.limit));
  const found = await rowsOf(files, limit, engine);
  return serve.map((each) => ({
    op: 'put',
    key: keyOf(each.key, startedAtMs, number),
    value: JSON.stringify({
      model,
      run_id: runId,
      generated_at: new Date(startedAtMs).toISOString(),
      total_rows: rows,
      rows: found.slice(0, each.limit),
    }),
    ...(each.expiresSeconds !== undefined && {
      expiresAtMs: startedAtMs + each.expiresSeconds * 1000,
    }),
  }));
}

async function rowsOf(
  files: readonly string[],
  limit: number,
  engine: SqlEngine,
): Promise<readonly object[]> {
  if (files.length === 0) return [];
  const list = files.map((file) => `'${file.replaceAll("'", "''")}'`).join(', ');
  const { columns, rows } = await engine.query(
    `SELECT * FROM read_parquet([${list}]) LIMIT ${limit}`,
  );
  return rows.map((row) => Object.fromEntries(columns.map(({ name }, at) => [name, row[at]])));
}

function qualityOf({ runId, startedAtMs }: ServedRun, quality: ServedRun['quality']): object {
  const failed = (severity: QualityResult['severity']) =>
    quality.filter((each) => each.severity === severity && each.outcome !== 'passed').length;
  return {
    run_id: runId,
    generated_at: new Date(startedAtMs).toISOString(),
    tests: quality.length,
    warnings: failed('warn'),
    errors: failed('error'),
    results: quality.map(({ failingRows, ...each }) => ({ ...each, failing_rows: failingRows })),
  };
}

/** `{run_time}`: YYYYMMDD_HHMMSS in UTC. */
function keyOf(template: string, startedAtMs: number, number: number): string {
  const time = new Date(startedAtMs)
    .toISOString()
    .replace(/[-:]/g, '')
    .replace('T', '_')
    .slice(0, 15);
  return template.replaceAll('{run_time}', time).replaceAll('{run_number}', String(number));
}
