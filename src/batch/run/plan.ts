import { createHash } from 'node:crypto';
import { must } from '../../lib/must.ts';
import type {
  FileRelation,
  Warehouse,
  WarehouseJob,
  WarehouseStep,
} from '../../ports/warehouse.ts';
import type { LakeModel, LakeOffsets, LakeTable, Manifest } from '../lake/manifest.ts';
import type { TableRelation } from '../lake/table-relation.ts';
import { sqlIdentifier } from '../models/literal.ts';
import type { Model, ModelTest, RenderContext, Variables } from '../models/model.ts';
import { parseTemplate, renderSql, tagsOf } from '../models/template.ts';
import {
  affectedCondition,
  affectedRelation,
  affectedValues,
  type ChangesSince,
  type Incremental,
  MERGED_SQL_LINE,
  mergedSql,
  refreshOf,
} from './incremental.ts';
import { findTable, missingSource } from './source-table.ts';
import { failuresFolder, resultFolder, scratchFolder } from './run-folders.ts';
import { failingRowsSql, KEPT_ROWS } from './tests.ts';

/** What a run is to do, decided before it does anything. */
export type RunPlan = Readonly<{
  job: WarehouseJob;
  /** In the order of their steps. */
  models: readonly PlannedModel[];
  tests: readonly PlannedTest[];
}>;

/** A model that is to be made. */
export type PlannedModel = Readonly<{ model: Model }> &
  (
    | Readonly<{
        how: 'view' | 'full' | 'incremental';
        /** Why an incremental model is made as a whole. */
        why?: string;
        /** The step's, of which `sqlLine` is where the model's SQL begins, from 1. */
        step: string;
        sqlLine: number;
        fingerprint: string;
        inputs: Inputs;
        /** Of a view, as the manifest keeps it. */
        viewSql?: string;
      }>
    /** Its last result is what a full refresh would make. */
    | Readonly<{ how: 'unchanged'; result: LakeModel }>
    /** It can't be made; `because`, when set, is the model that keeps it from it. */
    | Readonly<{ how: 'refused'; problem: string; because?: string }>
  );

export type PlannedTest = Readonly<{ model: Model; test: ModelTest }> &
  (Readonly<{ step: string; directory: string }> | Readonly<{ step?: undefined; problem: string }>);

export type PlanRequest = Readonly<{
  /** All of the project, each after those it reads. */
  models: readonly Model[];
  /** Names of those to make. */
  build: ReadonlySet<string>;
  /** Names of those whose tests are to be asked. */
  test: ReadonlySet<string>;
  manifest: Manifest;
  runId: string;
  runStartedAtMs: number;
  variables: Variables;
  fullRefresh: boolean;
  /** What is to run it. */
  warehouse: Pick<Warehouse, 'description' | 'dialect'>;
  /** Absolute path of one in the lake. */
  path(relative: string): string;
  /** Rows of a table of the lake; of today without `offsets`. */
  state(table: LakeTable, offsets?: LakeOffsets): TableRelation;
}>;

/**
 * Lays out a run over one version of the lake: what each model reads, how it is made, which tests
 * follow it, and what waits for them. A model comes after those it reads and after their tests of
 * severity `error`. Models that are read but not made are as their last run left them; views are
 * what their SQL says.
 */
export function planRun(request: PlanRequest): RunPlan {
  const planner = new Planner(request);
  for (const model of request.models) {
    if (request.build.has(model.name)) planner.make(model);
    if (request.test.has(model.name)) planner.ask(model);
  }
  return planner.plan();
}

/** No model is named so. */
export function checkStep({ name }: ModelTest): string {
  return `_check__${name}`;
}

/** Why a model can't be read; `because` is the model, if it is one's fault. */
type Unreadable = Readonly<{ problem: string; because?: string }>;

/** As `LakeModel.inputs`. */
type Inputs = LakeModel['inputs'];

/** What a model's name stands for in the job, for those that read it. */
type Readable = Readonly<{
  fingerprint: string;
  inputs: Inputs;
  /** Steps that must have succeeded. */
  after: readonly string[];
}>;

class Planner {
  readonly #request: PlanRequest;
  readonly #models: ReadonlyMap<string, Model>;
  readonly #relations = new Map<string, FileRelation>();
  readonly #steps: WarehouseStep[] = [];
  readonly #planned: PlannedModel[] = [];
  readonly #tests: PlannedTest[] = [];
  readonly #readable = new Map<string, Readable | Unreadable>();
  /** Relations of those that have their step. */
  readonly #sources = new Set<string>();
  /** By model: its steps of checks of severity `error`. */
  readonly #guards = new Map<string, readonly string[]>();

  constructor(request: PlanRequest) {
    this.#request = request;
    this.#models = new Map(request.models.map((model) => [model.name, model]));
  }

  plan(): RunPlan {
    return {
      job: { relations: [...this.#relations.values()], steps: this.#steps },
      models: this.#planned,
      tests: this.#tests,
    };
  }

  make(model: Model): void {
    const inputs = this.#refusal(model) ?? this.#read(model.refs, model.sources);
    if ('problem' in inputs) {
      this.#planned.push({ model, how: 'refused', ...inputs });
      this.#readable.set(model.name, { problem: inputs.problem, because: model.name });
      return;
    }
    if (model.header.materialization === 'view') this.#makeView(model, inputs);
    else this.#makeTable(model, inputs);
  }

  /** Of a model that this engine can't run. */
  #refusal({ header }: Model): Unreadable | undefined {
    const { description, dialect } = this.#request.warehouse;
    if (header.dialect !== 'duckdb' || dialect === 'duckdb') return undefined;
    return {
      problem: `its dialect is duckdb, and ${description} runs the models: write it in portable SQL, or set MILLRACE_WAREHOUSE=duckdb`,
    };
  }

  #makeView(model: Model, inputs: Readable): void {
    const { name } = model;
    const read = this.#addView(model, inputs);
    const viewSql = renderSql(model.sql, {
      ...this.#context(name),
      relationOf: (ref) => `models.${sqlIdentifier(ref)}`,
      sourceRelationOf: (source) => {
        const table = findTable(this.#request.manifest, source);
        return table === undefined
          ? sqlIdentifier(source)
          : `${sqlIdentifier(table.schema)}.${sqlIdentifier(table.name)}`;
      },
    });
    const { fingerprint } = read;
    this.#planned.push({
      model,
      how: 'view',
      step: name,
      sqlLine: 1,
      fingerprint,
      inputs: inputs.inputs,
      viewSql,
    });
  }

  #addView(model: Model, inputs: Readable): Readable {
    const { name } = model;
    const sql = renderSql(model.sql, this.#context(name));
    this.#steps.push({ kind: 'view', name, sql, after: inputs.after });
    const fingerprint = fingerprintOf(model, sql, inputs);
    const read = { fingerprint, inputs: inputs.inputs, after: [name] };
    this.#readable.set(name, read);
    return read;
  }

  #makeTable(model: Model, inputs: Readable): void {
    const { manifest, runId, path } = this.#request;
    const { name } = model;
    const sql = renderSql(model.sql, this.#context(name));
    const fingerprint = fingerprintOf(model, sql, inputs);
    const refresh = this.#refresh(model, fingerprint);
    const previous = manifest.models[name];
    const made = { fingerprint, inputs: inputs.inputs };
    if (refresh.kind === 'unchanged' && previous !== undefined) {
      this.#relations.set(name, resultRelation(name, previous, path));
      this.#planned.push({ model, how: 'unchanged', result: previous });
      this.#readable.set(name, { fingerprint, inputs: inputs.inputs, after: [] });
      return;
    }
    this.#readable.set(name, { fingerprint, inputs: inputs.inputs, after: [name] });
    const table = { kind: 'table', name, directory: path(resultFolder(name, runId)) } as const;
    if (refresh.kind === 'affected' && previous !== undefined) {
      const after = this.#affected(model, refresh.changes);
      const merged = this.#merged(model, previous);
      this.#steps.push({ ...table, sql: merged, after: [...inputs.after, after] });
      const sqlLine = MERGED_SQL_LINE;
      this.#planned.push({ model, how: 'incremental', step: name, sqlLine, ...made });
      return;
    }
    this.#steps.push({ ...table, sql, after: inputs.after });
    const why = refresh.kind === 'full' && refresh.why !== '' ? { why: refresh.why } : {};
    this.#planned.push({ model, how: 'full', ...why, step: name, sqlLine: 1, ...made });
  }

  #refresh(model: Model, fingerprint: string): ReturnType<typeof refreshOf> {
    const { manifest, fullRefresh } = this.#request;
    const { incremental } = model.header;
    if (incremental === undefined) return { kind: 'full', why: '' };
    if (fullRefresh) return { kind: 'full', why: 'it was asked for' };
    const sources = Object.entries(incremental.affectedBy).map(([source, column]) => ({
      table: must(findTable(manifest, source), `${model.name} was found to read it`),
      column,
    }));
    return refreshOf({ previous: manifest.models[model.name], fingerprint, sources });
  }

  /** The step that finds the affected values. */
  #affected(model: Model, changes: readonly ChangesSince[]): string {
    const { runId, path, state } = this.#request;
    const step = affectedRelation(model.name);
    const { sql, relations } = affectedValues(model.name, incrementalOf(model), changes, {
      path,
      before: state,
    });
    for (const relation of relations) this.#relations.set(relation.name, relation);
    const directory = path(`${scratchFolder(runId)}/${model.name}`);
    this.#steps.push({ kind: 'table', name: step, sql, after: [], directory });
    return step;
  }

  #merged(model: Model, result: LakeModel): string {
    const { name } = model;
    const incremental = incrementalOf(model);
    const previous = resultRelation(`_previous__${name}`, result, this.#request.path);
    this.#relations.set(previous.name, previous);
    const sql = renderSql(model.sql, {
      ...this.#context(name),
      affected: (column) => affectedCondition(name, incremental, column),
    });
    return mergedSql(name, incremental, { previous, sql });
  }

  /** Adds the tests of a model. */
  ask(model: Model): void {
    const { runId, path } = this.#request;
    const guards: string[] = [];
    for (const test of model.header.tests) {
      const { refs, sources } = namesIn(test);
      const inputs = this.#read([model.name, ...refs], sources);
      if ('problem' in inputs) {
        this.#tests.push({ model, test, problem: inputs.problem });
        continue;
      }
      const step = checkStep(test);
      const directory = path(`${failuresFolder(runId)}/${test.name}`);
      this.#steps.push({
        kind: 'check',
        name: step,
        sql: failingRowsSql(test, model.name, this.#context(model.name)),
        // Tests of one model don't wait for each other.
        after: inputs.after.filter((name) => !guards.includes(name)),
        severity: test.severity,
        keep: KEPT_ROWS,
        directory,
      });
      this.#tests.push({ model, test, step, directory });
      if (test.severity === 'error') guards.push(step);
    }
    this.#guards.set(model.name, guards);
  }

  #context(model: string): RenderContext {
    const { runStartedAtMs, variables, manifest } = this.#request;
    return {
      runStartedAtMs,
      variables,
      relationOf: sqlIdentifier,
      sourceRelationOf: (source) => {
        const table = must(findTable(manifest, source), `${model} was found to read it`);
        return sqlIdentifier(sourceRelation(table));
      },
      affected: () => 'TRUE',
    };
  }

  /** All that these are, together. */
  #read(refs: readonly string[], sources: readonly string[]): Readable | Unreadable {
    const found = [
      ...sources.map((source) => this.#readSource(source)),
      ...refs.map((ref) => this.#readModel(ref)),
    ];
    const missing = found.find((each) => 'problem' in each);
    if (missing !== undefined) return missing;
    const readable = found.flatMap((each) => ('problem' in each ? [] : [each]));
    return {
      fingerprint: readable.map(({ fingerprint }) => fingerprint).join(' '),
      inputs: readable.map(({ inputs }) => inputs).reduce(bothInputs, {}),
      after: [
        ...new Set([
          ...readable.flatMap(({ after }) => after),
          ...refs.flatMap((ref) => this.#guards.get(ref) ?? []),
        ]),
      ],
    };
  }

  #readSource(source: string): Readable | Unreadable {
    const { manifest, state } = this.#request;
    const table = findTable(manifest, source);
    if (table === undefined) return { problem: missingSource(source, manifest) };
    const name = sourceRelation(table);
    const fingerprint = hashOf([table.topic, table.key, table.schemas.at(-1)?.columns]);
    const inputs = { [table.topic]: table.offsets };
    if (!this.#sources.has(name)) {
      this.#sources.add(name);
      const { sql, relations } = state(table);
      for (const relation of relations) this.#relations.set(relation.name, relation);
      this.#steps.push({ kind: 'view', name, sql, after: [] });
    }
    return { fingerprint, inputs, after: [name] };
  }

  #readModel(name: string): Readable | Unreadable {
    const known = this.#readable.get(name);
    if (known !== undefined) return known;
    const model = must(this.#models.get(name), 'a project has all models that it names');
    const read =
      model.header.materialization === 'view' ? this.#readView(model) : this.#readResult(name);
    this.#readable.set(name, read);
    return read;
  }

  /** Of a view that this run does not make: it has no rows of its own that could be older. */
  #readView(model: Model): Readable | Unreadable {
    const inputs = this.#refusal(model) ?? this.#read(model.refs, model.sources);
    return 'problem' in inputs ? inputs : this.#addView(model, inputs);
  }

  #readResult(name: string): Readable | Unreadable {
    const { manifest, path } = this.#request;
    const result = manifest.models[name];
    if (result === undefined)
      return { problem: `the model ${name} has no result yet: run it too, as with +` };
    this.#relations.set(name, resultRelation(name, result, path));
    return { fingerprint: result.fingerprint, inputs: result.inputs, after: [] };
  }
}

function sourceRelation({ schema, name }: LakeTable): string {
  return `src__${schema}__${name}`;
}

function resultRelation(
  name: string,
  { files, columns }: LakeModel,
  path: (relative: string) => string,
): FileRelation {
  return { name, files: files.map((file) => path(file.path)), columns };
}

/** Of what reads both: a result that was not made anew may have read less of a table. */
function bothInputs(a: Inputs, b: Inputs): Inputs {
  const topics = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries(
    [...topics].map((topic) => [topic, leastOf(a[topic] ?? b[topic], b[topic] ?? a[topic])]),
  );
}

function leastOf(a: LakeOffsets = {}, b: LakeOffsets = {}): LakeOffsets {
  const partitions = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries(
    [...partitions].map((partition) => [partition, Math.min(a[partition] ?? 0, b[partition] ?? 0)]),
  );
}

/** Of all that a model's rows depend on, beside the rows of its sources; the run's time, where the SQL has it. */
function fingerprintOf({ header }: Model, sql: string, { fingerprint }: Readable): string {
  const { materialization, incremental } = header;
  const { column, grain, affectedBy } = incremental ?? {};
  return hashOf([materialization, column, grain, affectedBy, sql, fingerprint]);
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 32);
}

function incrementalOf({ name, header }: Model): Incremental {
  return must(header.incremental, `${name} is incremental`);
}

/** What a test reads beside its own model. */
function namesIn(test: ModelTest): Pick<Model, 'refs' | 'sources'> {
  if (test.kind === 'relationships')
    return 'ref' in test.to
      ? { refs: [test.to.ref], sources: [] }
      : { refs: [], sources: [test.to.source] };
  if (test.kind !== 'sql') return { refs: [], sources: [] };
  const tags = tagsOf(parseTemplate(test.sql).template);
  return {
    refs: tags.flatMap((tag) => (tag.kind === 'ref' ? [tag.model] : [])),
    sources: tags.flatMap((tag) => (tag.kind === 'source' ? [tag.source] : [])),
  };
}
