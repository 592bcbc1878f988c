import type { LakeModel, Manifest } from '../../batch/lake/manifest.ts';
import { type Compilation, compileModels, jobContext } from '../../batch/models/compile.ts';
import { sqlIdentifier } from '../../batch/models/literal.ts';
import type { Model, Variables } from '../../batch/models/model.ts';
import { formatProblem } from '../../batch/models/problem.ts';
import { loadModels, type ModelProject } from '../../batch/models/project.ts';
import { selectModels } from '../../batch/models/selection.ts';
import type { SourceTable } from '../../batch/models/source-table.ts';
import { MillraceError } from '../../domain/errors.ts';
import { didYouMean } from '../../lib/suggestion.ts';
import type { SqlRows } from '../../ports/sql-engine.ts';
import { readConfig } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { loadPipeline } from '../config/load-pipeline.ts';
import type { Pipeline } from '../pipeline.ts';
import { manifestThere, modelsDirOf, openEngine } from './open.ts';
import { type CataloguePlace, modelSources } from './source-catalogue.ts';
import { LakeQuery } from './sql.ts';

/** Where the models are, and the lake. */
export type ModelsAt = Readonly<{ dataDir: string; pipelineDir: string; env: Environment }>;

export type Selection = Readonly<{ select: readonly string[]; exclude: readonly string[] }>;

/** A model, and what its last good run made. */
export type ListedModel = Readonly<{
  name: string;
  file: string;
  materialization: string;
  tags: readonly string[];
  owner?: string;
  description?: string;
  /** Models. */
  dependsOn: readonly string[];
  sources: readonly string[];
  tests: number;
  serves: readonly string[];
  lastBuiltAtMs?: number;
  /** A view keeps none. */
  rowCount?: number;
}>;

export async function listModels(
  at: ModelsAt,
  selection: Selection,
): Promise<readonly ListedModel[]> {
  const { project, manifest } = await openProject(at);
  return selectModels(project, selection.select, selection.exclude).map((model) =>
    listed(model, lastOf(manifest, model.name)),
  );
}

function listed(model: Model, last: LakeModel | undefined): ListedModel {
  const { name, file, header, refs, sources } = model;
  const { materialization, tags, owner, description, tests, serve } = header;
  return {
    name,
    file,
    materialization,
    tags,
    ...(owner === undefined ? {} : { owner }),
    ...(description === undefined ? {} : { description }),
    dependsOn: refs,
    sources,
    tests: tests.length,
    serves: serve.map(({ key }) => key),
    ...(last === undefined ? {} : { lastBuiltAtMs: last.builtAtMs }),
    ...(last === undefined || last.materialization === 'view' ? {} : { rowCount: last.rows }),
  };
}

/** A model as the engine is given it. */
export type PrintedModel = Readonly<{
  name: string;
  file: string;
  columns: readonly Readonly<{ name: string; type: string }>[];
  sql: string;
}>;

export type CompiledProject = Readonly<{
  models: readonly PrintedModel[];
  tests: number;
  warnings: readonly string[];
}>;

/** Compiles all models, and prints those selected. Throws `models_invalid` with all that is wrong. */
export async function printCompiled(
  at: ModelsAt,
  selection: Selection & Readonly<{ variables?: Variables }>,
  signal: AbortSignal,
): Promise<CompiledProject> {
  const compiled = await compileProject(at, signal, selection.variables);
  const { project, compilation, sources, variables } = compiled;
  const chosen = selectModels(project, selection.select, selection.exclude);
  const names = new Set(chosen.map(({ name }) => name));
  const context = jobContext(sources, {
    variables,
    runStartedAtMs: Date.now(),
  });
  return {
    models: compilation.models
      .filter(({ model }) => names.has(model.name))
      .map(({ model, columns, render }) => ({
        name: model.name,
        file: model.file,
        columns,
        sql: render(context).trim(),
      })),
    tests: chosen.reduce((sum, { header }) => sum + header.tests.length, 0),
    warnings: compilation.warnings.map(formatProblem),
  };
}

/** `more`: rows that are there beside these. */
export type ShownModel = ListedModel & SqlRows & Readonly<{ more: number }>;

/** The first rows of a model's last good result. */
export async function showModel(
  at: ModelsAt,
  name: string,
  limit: number,
  signal: AbortSignal,
): Promise<ShownModel> {
  const { project, manifest, place } = await openProject(at);
  const model = project.models.find((each) => each.name === name);
  if (model === undefined) throw noModel(name, project);
  const last = lastOf(manifest, name);
  if (last === undefined)
    throw new MillraceError('usage', {
      expected: `a model that has been made; make it with \`millrace model run ${name}\``,
      found: name,
    });
  const sql = `SELECT * FROM models.${sqlIdentifier(name)}`;
  await using query = await LakeQuery.open(place.config, { sql }, signal);
  let columns: SqlRows['columns'] = [];
  const rows: SqlRows['rows'][number][] = [];
  for await (const batch of query.rows()) {
    ({ columns } = batch);
    rows.push(...batch.rows.slice(0, limit + 1 - rows.length));
    if (rows.length > limit) break;
  }
  const more = rows.length > limit ? (await query.count()) - limit : 0;
  return { ...listed(model, last), columns, rows: rows.slice(0, limit), more };
}

/** What a model's last good run made. */
export function lastOf({ models }: Manifest, name: string): LakeModel | undefined {
  return Object.hasOwn(models, name) ? models[name] : undefined;
}

function noModel(name: string, { models }: ModelProject): MillraceError {
  const known = models.map((model) => model.name);
  return new MillraceError('usage', {
    expected: `a model: ${known.toSorted().join(', ') || 'there is none'}`,
    found: `${name}${didYouMean(name, known)}`,
  });
}

type OpenProject = Readonly<{
  project: ModelProject;
  /** Of an empty lake, where there is none. */
  manifest: Manifest;
  pipeline: Pipeline;
  place: CataloguePlace;
}>;

async function openProject({ dataDir, pipelineDir, env }: ModelsAt): Promise<OpenProject> {
  const config = readConfig(env, { dataDir });
  const pipeline = await loadPipeline(pipelineDir, env);
  const dir = modelsDirOf(pipeline, pipelineDir);
  if (dir === undefined)
    throw new MillraceError('usage', {
      expected: 'a folder of models beside pipeline.ts: models/*.sql',
      found: `none in ${pipelineDir}`,
    });
  const project = await loadModels(dir);
  return {
    project,
    manifest: await manifestThere(config),
    pipeline,
    place: { config, pipeline, pipelineDir, env },
  };
}

/** What commands know of models that all are right. */
export async function compileProject(
  at: ModelsAt,
  signal: AbortSignal,
  own: Variables = {},
): Promise<
  OpenProject &
    Readonly<{
      compilation: Compilation;
      sources: readonly SourceTable[];
      variables: Variables;
    }>
> {
  const opened = await openProject(at);
  const { project, manifest, pipeline, place } = opened;
  const sources = await modelSources(place, manifest, project.models, signal);
  await using engine = await openEngine(place.config);
  const variables = { ...pipeline.modelVariables, ...own };
  const compilation = await compileModels(project, { engine, sources, variables }, signal);
  return { ...opened, compilation, sources, variables };
}
