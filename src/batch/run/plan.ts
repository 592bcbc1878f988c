import { must } from '../../lib/must.ts';
import type { WarehouseJob } from '../../ports/warehouse.ts';
import type { LakeModel } from '../lake/manifest.ts';
import { sqlIdentifier } from '../models/literal.ts';
import type { Model, ModelTest } from '../models/model.ts';
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
import {
  fingerprintOf,
  JobDraft,
  type JobPlace,
  lastResult,
  type Readable,
  resultRelation,
  type Unreadable,
} from './job-draft.ts';
import { failuresFolder, resultFolder, scratchFolder } from './run-folders.ts';
import { findTable } from './source-table.ts';
import { failingRowsSql, KEPT_ROWS } from './tests.ts';

/** What a run is to do, decided before it does anything. */
export type RunPlan = Readonly<{
  job: WarehouseJob;
  /** By its step: the full name of each source that is read. */
  sources: ReadonlyMap<string, string>;
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
        inputs: LakeModel['inputs'];
        /** Of a view, as the manifest keeps it. */
        viewSql?: string;
      }>
    /** Its last result is what a full refresh would make. */
    | Readonly<{ how: 'unchanged'; result: LakeModel }>
    /** It can't be made; `because`, when set, is the model that keeps it from it. */
    | (Readonly<{ how: 'refused' }> & Unreadable)
  );

export type PlannedTest = Readonly<{ model: Model; test: ModelTest }> &
  (
    | Readonly<{ step: string; directory: string }>
    | (Readonly<{ step?: undefined }> & Pick<Unreadable, 'problem' | 'waits'>)
  );

export type PlanRequest = JobPlace &
  Readonly<{
    /** All of the project, each after those it reads. */
    models: readonly Model[];
    /** Names of those to make. */
    build: ReadonlySet<string>;
    /** Names of those whose tests are to be asked. */
    test: ReadonlySet<string>;
    runId: string;
    fullRefresh: boolean;
    /** Names of models of whose last results not all files are there. */
    damaged: ReadonlySet<string>;
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

class Planner {
  readonly #request: PlanRequest;
  readonly #draft: JobDraft;
  readonly #planned: PlannedModel[] = [];
  readonly #tests: PlannedTest[] = [];

  constructor(request: PlanRequest) {
    this.#request = request;
    this.#draft = new JobDraft(request);
  }

  plan(): RunPlan {
    return {
      job: this.#draft.job(),
      sources: this.#draft.sources(),
      models: this.#planned,
      tests: this.#tests,
    };
  }

  make(model: Model): void {
    const inputs = this.#draft.inputsOf(model);
    if ('problem' in inputs) return this.#refuse(model, inputs);
    const waiting = this.#waitOfTests(model);
    if (waiting !== undefined) return this.#refuse(model, waiting);
    if (model.header.materialization === 'view') this.#makeView(model, inputs);
    else this.#makeTable(model, inputs);
  }

  #refuse(model: Model, unreadable: Unreadable): void {
    const { problem, waits } = unreadable;
    this.#planned.push({ model, how: 'refused', ...unreadable });
    this.#draft.offer(model.name, waits ? { problem, waits } : { problem, because: model.name });
  }

  /** What a test needs to be asked, without which the model would be made unseen, must be there, too. */
  #waitOfTests({ name, header }: Model): Unreadable | undefined {
    if (!this.#request.test.has(name)) return undefined;
    for (const test of header.tests.filter(({ severity }) => severity === 'error')) {
      const { refs, sources } = namesIn(test);
      const others = refs.filter((ref) => ref !== name);
      const inputs = this.#draft.read(others, sources);
      if ('problem' in inputs && inputs.waits) return inputs;
    }
    return undefined;
  }

  #makeView(model: Model, inputs: Readable): void {
    const { name } = model;
    const read = this.#draft.addView(model, inputs);
    const viewSql = renderSql(model.sql, {
      ...this.#draft.context(name),
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

  #makeTable(model: Model, inputs: Readable): void {
    const { manifest, runId, path } = this.#request;
    const { name } = model;
    const sql = renderSql(model.sql, this.#draft.context(name));
    const fingerprint = fingerprintOf(model, sql, inputs);
    const refresh = this.#refresh(model, fingerprint);
    const previous = lastResult(manifest, name);
    const made = { fingerprint, inputs: inputs.inputs };
    if (refresh.kind === 'unchanged' && previous !== undefined) {
      this.#draft.addRelations(resultRelation(name, previous, path));
      this.#planned.push({ model, how: 'unchanged', result: previous });
      this.#draft.offer(name, { fingerprint, inputs: inputs.inputs, after: [] });
      return;
    }
    this.#draft.offer(name, { fingerprint, inputs: inputs.inputs, after: [name] });
    const table = { kind: 'table', name, directory: path(resultFolder(name, runId)) } as const;
    if (refresh.kind === 'affected' && previous !== undefined) {
      const after = this.#affected(model, refresh.changes);
      const merged = this.#merged(model, previous);
      this.#draft.add({ ...table, sql: merged, after: [...inputs.after, after] });
      const sqlLine = MERGED_SQL_LINE;
      this.#planned.push({ model, how: 'incremental', step: name, sqlLine, ...made });
      return;
    }
    this.#draft.add({ ...table, sql, after: inputs.after });
    const why = refresh.kind === 'full' && refresh.why !== '' ? { why: refresh.why } : {};
    this.#planned.push({ model, how: 'full', ...why, step: name, sqlLine: 1, ...made });
  }

  #refresh(model: Model, fingerprint: string): ReturnType<typeof refreshOf> {
    const { manifest, fullRefresh, damaged } = this.#request;
    const { incremental } = model.header;
    if (incremental === undefined) return { kind: 'full', why: '' };
    if (fullRefresh) return { kind: 'full', why: 'it was asked for' };
    if (damaged.has(model.name))
      return { kind: 'full', why: 'a file of its last result is missing or damaged' };
    const sources = Object.entries(incremental.affectedBy).map(([source, column]) => ({
      table: must(findTable(manifest, source), `${model.name} was found to read it`),
      column,
    }));
    return refreshOf({ previous: lastResult(manifest, model.name), fingerprint, sources });
  }

  /** The step that finds the affected values. */
  #affected(model: Model, changes: readonly ChangesSince[]): string {
    const { runId, path, state } = this.#request;
    const step = affectedRelation(model.name);
    const { sql, relations } = affectedValues(model.name, incrementalOf(model), changes, {
      path,
      before: state,
    });
    this.#draft.addRelations(...relations);
    const directory = path(`${scratchFolder(runId)}/${model.name}`);
    this.#draft.add({ kind: 'table', name: step, sql, after: [], directory });
    return step;
  }

  #merged(model: Model, result: LakeModel): string {
    const { name } = model;
    const incremental = incrementalOf(model);
    const previous = resultRelation(`_previous__${name}`, result, this.#request.path);
    this.#draft.addRelations(previous);
    const sql = renderSql(model.sql, {
      ...this.#draft.context(name),
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
      const inputs = this.#draft.read([model.name, ...refs], sources);
      if ('problem' in inputs) {
        this.#tests.push({ model, test, ...inputs });
        continue;
      }
      const step = checkStep(test);
      const directory = path(`${failuresFolder(runId)}/${test.name}`);
      this.#draft.add({
        kind: 'check',
        name: step,
        sql: failingRowsSql(test, model.name, this.#draft.context(model.name)),
        // Tests of one model don't wait for each other.
        after: inputs.after.filter((name) => !guards.includes(name)),
        severity: test.severity,
        keep: KEPT_ROWS,
        directory,
      });
      this.#tests.push({ model, test, step, directory });
      if (test.severity === 'error') guards.push(step);
    }
    this.#draft.guard(model.name, guards);
  }
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
