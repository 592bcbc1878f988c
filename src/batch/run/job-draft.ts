import { createHash } from 'node:crypto';
import { must } from '../../lib/must.ts';
import type {
  FileRelation,
  Warehouse,
  WarehouseJob,
  WarehouseStep,
} from '../../ports/warehouse.ts';
import { copyingText } from '../lake/copying-text.ts';
import type { LakeModel, LakeOffsets, LakeTable, Manifest } from '../lake/manifest.ts';
import type { TableRelation } from '../lake/table-relation.ts';
import { sqlIdentifier } from '../models/literal.ts';
import type { Model, RenderContext, Variables } from '../models/model.ts';
import { fullName, sourceName, sourceRelation } from '../models/source-table.ts';
import { renderSql } from '../models/template.ts';
import { findTable, missingSource } from './source-table.ts';

/** What a run reads, and with what it fills in templates. */
export type JobPlace = Readonly<{
  /** All models of the project. */
  models: readonly Model[];
  manifest: Manifest;
  runStartedAtMs: number;
  variables: Variables;
  /** What is to run it. */
  warehouse: Pick<Warehouse, 'description' | 'dialect'>;
  /** Absolute path of one in the lake. */
  path(relative: string): string;
  /** Rows of a table of the lake; of today without `offsets`. */
  state(table: LakeTable, offsets?: LakeOffsets): TableRelation;
}>;

/**
 * Why something can't be read; `because` is the model of this run whose fault it is, if it is one's.
 * What `waits` can be read later, without anybody's doing.
 */
export type Unreadable =
  | Readonly<{ problem: string; because?: string; waits?: undefined }>
  | Readonly<{ problem: string; waits: true }>;

/** As `LakeModel.inputs`. */
type Inputs = LakeModel['inputs'];

/** What a job has under the name of a model or a source. */
export type Readable = Readonly<{
  fingerprint: string;
  inputs: Inputs;
  /** Steps that must have succeeded. */
  after: readonly string[];
}>;

/**
 * A job as it is put together. What is read is added to it when it is first asked for: sources as views
 * of their state, models that the run does not make as their last run left them, views as their SQL.
 */
export class JobDraft {
  readonly #place: JobPlace;
  readonly #models: ReadonlyMap<string, Model>;
  readonly #relations = new Map<string, FileRelation>();
  readonly #steps: WarehouseStep[] = [];
  readonly #readable = new Map<string, Readable | Unreadable>();
  /** By its step: the source's full name. */
  readonly #sources = new Map<string, string>();
  /** By model: its steps of checks of severity `error`. */
  readonly #guards = new Map<string, readonly string[]>();

  constructor(place: JobPlace) {
    this.#place = place;
    this.#models = new Map(place.models.map((model) => [model.name, model]));
  }

  job(): WarehouseJob {
    return { relations: [...this.#relations.values()], steps: this.#steps };
  }

  /** By the step that reads it: each source, as people name it. */
  sources(): ReadonlyMap<string, string> {
    return this.#sources;
  }

  add(step: WarehouseStep): void {
    this.#steps.push(step);
  }

  addRelations(...relations: readonly FileRelation[]): void {
    for (const relation of relations) this.#relations.set(relation.name, relation);
  }

  /** Says what those that read a model of this run find. */
  offer(model: string, readable: Readable | Unreadable): void {
    this.#readable.set(model, readable);
  }

  /** Those that read the model wait for these steps too. */
  guard(model: string, steps: readonly string[]): void {
    this.#guards.set(model, steps);
  }

  addView(model: Model, inputs: Readable): Readable {
    const { name } = model;
    const sql = renderSql(model.sql, this.context(name));
    this.#steps.push({ kind: 'view', name, sql, after: inputs.after });
    const fingerprint = fingerprintOf(model, sql, inputs);
    const read = { fingerprint, inputs: inputs.inputs, after: [name] };
    this.#readable.set(name, read);
    return read;
  }

  /** Names that relations have in the job. */
  context(model: string): RenderContext {
    const { runStartedAtMs, variables, manifest } = this.#place;
    return {
      runStartedAtMs,
      variables,
      relationOf: sqlIdentifier,
      sourceRelationOf: (source) => {
        const table = must(findTable(manifest, source), `${model} was found to read it`);
        return sourceRelation(table);
      },
      affected: () => 'TRUE',
    };
  }

  /** What a model reads, or why it can't be run. */
  inputsOf(model: Model): Readable | Unreadable {
    return this.#refusal(model) ?? this.read(model.refs, model.sources);
  }

  /** Of a model that this engine can't run. */
  #refusal({ header }: Model): Unreadable | undefined {
    const { description, dialect } = this.#place.warehouse;
    if (header.dialect !== 'duckdb' || dialect === 'duckdb') return undefined;
    return {
      problem: `its dialect is duckdb, and ${description} runs the models: write it in portable SQL, or set MILLRACE_WAREHOUSE=duckdb`,
    };
  }

  /** All that these are, together. */
  read(refs: readonly string[], sources: readonly string[]): Readable | Unreadable {
    const found = [
      ...sources.map((source) => this.#readSource(source)),
      ...refs.map((ref) => this.#readModel(ref)),
    ];
    const unreadable = found.filter((each) => 'problem' in each);
    const missing = unreadable.find(({ waits }) => !waits) ?? unreadable[0];
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
    const { manifest, state } = this.#place;
    const table = findTable(manifest, source);
    if (table === undefined) return { problem: missingSource(source, manifest) };
    const copying = copyingText(table);
    if (copying !== undefined) return { problem: copying, waits: true };
    const name = sourceName(table);
    const fingerprint = hashOf([table.topic, table.key, table.schemas.at(-1)?.columns]);
    const inputs = { [table.topic]: table.offsets };
    if (!this.#sources.has(name)) {
      this.#sources.set(name, fullName(table));
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
    const inputs = this.inputsOf(model);
    return 'problem' in inputs ? inputs : this.addView(model, inputs);
  }

  #readResult(name: string): Readable | Unreadable {
    const { manifest, path } = this.#place;
    const result = lastResult(manifest, name);
    if (result === undefined)
      return { problem: `the model ${name} has no result yet: run it too, as with +` };
    this.#relations.set(name, resultRelation(name, result, path));
    return { fingerprint: result.fingerprint, inputs: result.inputs, after: [] };
  }
}

export function resultRelation(
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
export function fingerprintOf({ header }: Model, sql: string, { fingerprint }: Readable): string {
  const { materialization, incremental } = header;
  const { column, grain, affectedBy } = incremental ?? {};
  return hashOf([materialization, column, grain, affectedBy, sql, fingerprint]);
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 32);
}

/** The rows that the last good run of a model kept; undefined without one, and when it was a view then. */
export function lastResult({ models }: Manifest, name: string): LakeModel | undefined {
  const result = Object.hasOwn(models, name) ? models[name] : undefined;
  return result?.materialization === 'view' ? undefined : result;
}
