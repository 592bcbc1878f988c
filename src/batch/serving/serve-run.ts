import { MillraceError } from '../../domain/errors.ts';
import type { ServedWrite, Store, TaskOffsets } from '../../ports/store.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import { sqlString } from '../models/literal.ts';
import type { ServedModel } from '../models/model.ts';

/** In the store, runs are a task's records, and their numbers its offsets. */
const TASK = 'batch';
const RUNS = 'runs-0';
const LAST_RUN = 'last-run';

/** A value is read as a whole by whoever asks for it. */
const MOST_BYTES = 4 << 20;

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
  /** `error`: it could not be asked; `waiting`: a later run will ask it. */
  outcome: 'passed' | 'failed' | 'error' | 'skipped' | 'waiting';
  failingRows: number;
  problem?: string;
}>;

export type ServedRun = Readonly<{
  runId: string;
  startedAtMs: number;
  seconds: number;
  /** All that it was to make was made or waits, and no test of severity `error` failed. */
  isGood: boolean;
  results: readonly ServedResult[];
  quality: readonly QualityResult[];
}>;

export type Served = Readonly<{
  keys: readonly string[];
  /** Models whose rows could not be read, which stay served as they were, and why. */
  problems: readonly string[];
}>;

/**
 * Serves the results of a run, and what became of it, in one commit: readers see all of it or what
 * was before. A run is served once, however often it is asked for: then there are no keys. A value
 * has at most 4 MiB of rows, the first ones.
 */
export async function serveRun(
  run: ServedRun,
  { store, engine }: Readonly<{ store: Store; engine: SqlEngine }>,
): Promise<Served> {
  const problems: string[] = [];
  const results: ReadResult[] = [];
  for (const result of run.results) {
    try {
      if (result.serve.length > 0) results.push({ ...result, found: await rowsOf(result, engine) });
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      problems.push(`${result.model} is served as it was: ${error.message}`);
    }
  }
  return { keys: await commit(run, results, store, problems.length === 0), problems };
}

type ReadResult = ServedResult & Readonly<{ found: readonly string[] }>;

async function commit(
  run: ServedRun,
  results: readonly ReadResult[],
  store: Store,
  isServed: boolean,
): Promise<readonly string[]> {
  for (;;) {
    const from = await store.offsets(TASK);
    const [last] = await store.getMany(TASK, [LAST_RUN]);
    if (last === run.runId) return [];
    const number = from[RUNS] ?? 0;
    const served = writesOf(run, results, number + 1, isServed);
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

function writesOf(
  run: ServedRun,
  results: readonly ReadResult[],
  number: number,
  isServed: boolean,
): readonly ServedWrite[] {
  const { isGood, seconds, quality } = run;
  const job = isGood && isServed ? 'completed' : 'failed';
  return [
    ...results.flatMap((result) => writesOfModel(result, run, number)),
    { op: 'put', key: 'data_quality:latest', value: JSON.stringify(qualityOf(run, quality)) },
    { op: 'add', key: `batch_jobs:${job}`, amount: '1' },
    { op: 'put', key: 'batch_jobs:last_duration', value: seconds.toFixed(3) },
  ];
}

function writesOfModel(
  { model, serve, rows, found }: ReadResult,
  { runId, startedAtMs }: ServedRun,
  number: number,
): ServedWrite[] {
  const head = JSON.stringify({
    model,
    run_id: runId,
    generated_at: new Date(startedAtMs).toISOString(),
    total_rows: rows,
  });
  return serve.map(({ key, limit, expiresSeconds }) => ({
    op: 'put',
    key: keyOf(key, startedAtMs, number),
    value: `${head.slice(0, -1)},"rows":[${found.slice(0, limit).join(',')}]}`,
    ...(expiresSeconds !== undefined && { expiresAtMs: startedAtMs + expiresSeconds * 1000 }),
  }));
}

/** The first rows, each as JSON: as many as are asked for and fit. */
async function rowsOf(
  { files, serve }: ServedResult,
  engine: SqlEngine,
): Promise<readonly string[]> {
  if (files.length === 0) return [];
  const limit = Math.max(...serve.map((each) => each.limit));
  const list = files.map(sqlString).join(', ');
  const { columns, rows } = await engine.query(
    `SELECT * FROM read_parquet([${list}]) LIMIT ${limit}`,
  );
  const found: string[] = [];
  let bytes = 0;
  for (const row of rows) {
    const text = JSON.stringify(Object.fromEntries(columns.map(({ name }, at) => [name, row[at]])));
    bytes += Buffer.byteLength(text);
    if (bytes > MOST_BYTES) break;
    found.push(text);
  }
  return found;
}

function qualityOf({ runId, startedAtMs }: ServedRun, quality: ServedRun['quality']): object {
  const failed = (severity: QualityResult['severity']) =>
    quality.filter(
      (each) =>
        each.severity === severity && each.outcome !== 'passed' && each.outcome !== 'waiting',
    ).length;
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
