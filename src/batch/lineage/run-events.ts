import { randomUUID } from 'node:crypto';
import {
  failedModels,
  type ModelReport,
  type RunReport,
  type TestReport,
} from '../run/run-report.ts';
import type { Model, ModelTest } from '../models/model.ts';
import { type LineageGraph, type LineageNode, modelId } from './lineage-graph.ts';
import {
  datasetsOf,
  eventOf,
  facet,
  type Facets,
  type Job,
  jobNamespace,
  jobType,
  modelDataset,
  modelJob,
  type OpenLineageNames,
  type OutputDataset,
  type RunEvent,
} from './open-lineage.ts';

/** A run of models; its jobs' runs name it as their parent. */
export type ParentRun = Readonly<{ runId: string; startedAtMs: number }>;

export type FinishedRun = Readonly<{
  report: RunReport;
  models: readonly Model[];
  /** Of all models; undefined when they don't compile: then nothing is told of what they read. */
  graph: LineageGraph | undefined;
  /** When each model began and ended, as far as it did. */
  times: ReadonlyMap<string, Readonly<{ startedAtMs: number; endedAtMs: number }>>;
  endedAtMs: number;
}>;

export function startedEvent(run: ParentRun, names: OpenLineageNames): RunEvent {
  return runEvent('START', run.startedAtMs, { runId: run.runId }, parentJob(names), names);
}

/** Of a run that came to no report. */
export function brokenEvent(
  { runId }: ParentRun,
  why: Readonly<{ type: 'FAIL' | 'ABORT'; problem: string; atMs: number }>,
  names: OpenLineageNames,
): RunEvent {
  const facets = { errorMessage: errorFacet(why.problem, names) };
  return runEvent(why.type, why.atMs, { runId, facets }, parentJob(names), names);
}

/** For each model that was made, or failed: its run, and one of its tests; then the end of the whole. */
export function finishedEvents(
  parent: ParentRun,
  run: FinishedRun,
  names: OpenLineageNames,
): readonly RunEvent[] {
  const { report, models } = run;
  const events = report.models.flatMap((made) => {
    const model = models.find(({ name }) => name === made.name);
    return model === undefined || made.outcome === 'skipped' || made.outcome === 'waiting'
      ? []
      : modelEvents(parent, run, { model, made }, names);
  });
  const tests = [...Map.groupBy(report.tests, (test) => test.model)].flatMap(([name, asked]) => {
    const model = models.find((each) => each.name === name);
    return model === undefined ? [] : testEvents(parent, run, { model, asked }, names);
  });
  const failed = [
    ...failedModels(report),
    ...report.tests
      .filter(({ severity, outcome }) => severity === 'error' && !isWell(outcome))
      .map(({ name }) => name),
  ];
  const facets = {
    processing_engine: engineFacet(report.warehouse, names),
    ...(failed.length > 0 && {
      errorMessage: errorFacet(`failed, or not made for what failed: ${failed.join(', ')}`, names),
    }),
  };
  const type = failed.length === 0 ? 'COMPLETE' : 'FAIL';
  const whole = { runId: parent.runId, facets };
  return [...events, ...tests, runEvent(type, run.endedAtMs, whole, parentJob(names), names)];
}

function isWell(outcome: TestReport['outcome']): boolean {
  return outcome === 'passed' || outcome === 'waiting';
}

function modelEvents(
  parent: ParentRun,
  { report, graph, times, endedAtMs }: FinishedRun,
  { model, made }: Readonly<{ model: Model; made: ModelReport }>,
  names: OpenLineageNames,
): readonly RunEvent[] {
  const at = times.get(model.name) ?? { startedAtMs: endedAtMs, endedAtMs };
  const own = {
    parent: parentFacet(parent, names),
    processing_engine: engineFacet(report.warehouse, names),
  };
  const runId = randomUUID();
  const node = modelNode(model.name, graph);
  const { inputs, outputs } =
    node === undefined || graph === undefined
      ? { inputs: [], outputs: [modelDataset(model.name)] }
      : datasetsOf(node, graph, names);
  const job = modelJob(model, names);
  const facets =
    made.outcome === 'failed' ? { ...own, errorMessage: errorFacet(made.problem, names) } : own;
  const type = made.outcome === 'failed' ? 'FAIL' : 'COMPLETE';
  const written = outputs.map((output) => withStatistics(output, made, names));
  return [
    { ...runEvent('START', at.startedAtMs, { runId, facets: own }, job, names), inputs, outputs },
    {
      ...runEvent(type, at.endedAtMs, { runId, facets }, job, names),
      inputs,
      outputs: made.outcome === 'failed' ? outputs : written,
    },
  ];
}

/** Of what was written: a view, and a result that is as it was, had no rows to write. */
function withStatistics(
  output: OutputDataset,
  made: ModelReport,
  names: OpenLineageNames,
): OutputDataset {
  if (made.outcome !== 'done' || made.how === 'view' || made.how === 'unchanged') return output;
  const statistics = { rowCount: made.rows, fileCount: made.files.length };
  return {
    ...output,
    outputFacets: {
      outputStatistics: facet(names, 'OutputStatisticsOutputDatasetFacet', '1-0-2', statistics),
    },
  };
}

/** What tests found stands, by the specification, with what a job reads: so they are a job. */
function testEvents(
  parent: ParentRun,
  { endedAtMs }: FinishedRun,
  { model, asked }: Readonly<{ model: Model; asked: readonly TestReport[] }>,
  names: OpenLineageNames,
): readonly RunEvent[] {
  const told = asked.filter(({ outcome }) => outcome === 'passed' || outcome === 'failed');
  if (told.length === 0) return [];
  const runId = randomUUID();
  const job = {
    namespace: jobNamespace(names),
    name: `models.${model.name}.test`,
    facets: { jobType: jobType(names, 'TEST') },
  };
  const assertions = told.map(({ name, outcome }) => {
    const test = model.header.tests.find((each) => each.name === name);
    const column = test && columnOf(test);
    return {
      assertion: name,
      success: outcome === 'passed',
      ...(column !== undefined && { column }),
    };
  });
  const quality = facet(names, 'DataQualityAssertionsDatasetFacet', '1-0-1', { assertions });
  const input = {
    ...modelDataset(model.name),
    inputFacets: { dataQualityAssertions: quality },
  };
  const facets = { parent: parentFacet(parent, names) };
  const seconds = told.reduce((sum, test) => sum + test.seconds, 0);
  const isFailed = told.some((test) => test.severity === 'error' && test.outcome === 'failed');
  const run = { runId, facets };
  return [
    runEvent('START', Math.round(endedAtMs - seconds * 1000), run, job, names),
    {
      ...runEvent(isFailed ? 'FAIL' : 'COMPLETE', endedAtMs, run, job, names),
      inputs: [input],
    },
  ];
}

function columnOf(test: ModelTest): string | undefined {
  if ('column' in test) return test.column;
  return test.kind === 'unique' && test.columns.length === 1 ? test.columns[0] : undefined;
}

function modelNode(
  name: string,
  graph: LineageGraph | undefined,
): Extract<LineageNode, { kind: 'model' }> | undefined {
  const found = graph?.nodes.find(({ id }) => id === modelId(name));
  return found?.kind === 'model' ? found : undefined;
}

function runEvent(
  eventType: RunEvent['eventType'],
  atMs: number,
  run: Readonly<{ runId: string; facets?: Facets }>,
  job: Job,
  names: OpenLineageNames,
): RunEvent {
  return { eventType, ...eventOf('RunEvent', names, atMs), run, job, inputs: [], outputs: [] };
}

function parentJob(names: OpenLineageNames): Job {
  return {
    namespace: jobNamespace(names),
    name: 'models',
    facets: { jobType: jobType(names, 'RUN') },
  };
}

function parentFacet({ runId }: ParentRun, names: OpenLineageNames): Facets[string] {
  const job = { namespace: jobNamespace(names), name: 'models' };
  return facet(names, 'ParentRunFacet', '1-1-0', { run: { runId }, job });
}

/** `DuckDB 1.5.6`; `Spark 4.3.0 at local[*]`. */
function engineFacet(warehouse: string, names: OpenLineageNames): Facets[string] {
  const [name = warehouse, version = ''] = warehouse.split(' ');
  return facet(names, 'ProcessingEngineRunFacet', '1-1-1', { name, version });
}

function errorFacet(message: string, names: OpenLineageNames): Facets[string] {
  return facet(names, 'ErrorMessageRunFacet', '1-0-1', { message, programmingLanguage: 'SQL' });
}
