import { didYouMean } from '../../lib/suggestion.ts';
import { must } from '../../lib/must.ts';
import type { SqlColumn, SqlEngine } from '../../ports/sql-engine.ts';
import { parseSelect, type SqlNode, type SqlProblem } from './ast.ts';
import { EmptyTables } from './empty-tables.ts';
import { checkHeader } from './header-check.ts';
import { sqlIdentifier } from './literal.ts';
import type { Model, ModelTest, RenderContext, Variables } from './model.ts';
import { needsOf } from './needs.ts';
import { portabilityProblems } from './portability.ts';
import { byPlace, type Problem, refuse } from './problem.ts';
import type { ModelProject } from './project.ts';
import { readProblems } from './reads-check.ts';
import { resultProblems } from './result-columns.ts';
import { findSource, fullName, sourceRelation, type SourceTable } from './source-table.ts';
import { renderSql } from './template.ts';
import { toldProblem } from './told-problem.ts';

/** A model of which is known what it reads and what it gives. */
export type CompiledModel = Readonly<{
  model: Model;
  columns: readonly SqlColumn[];
  /** Models that its SELECT reads. */
  dependsOn: readonly string[];
  /** Tables that its SELECT reads, as `schema.table`. */
  sources: readonly string[];
  /** Its SELECT. Sources are asked for as `schema.table`, however the file names them. */
  render(context: RenderContext): string;
  /** What DuckDB's parser makes of its SELECT over `jobContext` names, in a full refresh. */
  ast: SqlNode;
}>;

export type Compilation = Readonly<{
  /** In the project's order. */
  models: readonly CompiledModel[];
  /** What is no error: models run with it. */
  warnings: readonly Problem[];
}>;

export type CompileOptions = Readonly<{
  engine: SqlEngine;
  sources: readonly SourceTable[];
  variables: Variables;
}>;

/**
 * Finds what is wrong with models before anything runs: each is rendered, parsed by DuckDB, bound
 * to empty tables of the columns it reads, held against its header, and, unless its dialect says
 * otherwise, against the SQL that all engines agree on. Throws `models_invalid` with all problems.
 */
export async function compileModels(
  project: ModelProject,
  options: CompileOptions,
  signal: AbortSignal,
): Promise<Compilation> {
  await using tables = await EmptyTables.open(options.engine);
  const compiler = new Compiler(project, options, tables);
  for (const model of project.models) {
    signal.throwIfAborted();
    await compiler.add(model);
  }
  refuse(compiler.problems);
  return { models: compiler.compiled, warnings: compiler.warnings.toSorted(byPlace) };
}

/** The names that relations have in what engines run. */
export function jobContext(
  sources: readonly SourceTable[],
  { variables, runStartedAtMs }: Pick<RenderContext, 'variables' | 'runStartedAtMs'>,
): RenderContext {
  return {
    runStartedAtMs,
    variables,
    relationOf: sqlIdentifier,
    sourceRelationOf: (source) => sourceRelation(known(sources, source)),
    affected: () => 'TRUE',
  };
}

/** A SELECT of a model's file: the model's own, or a test's. */
type Query = Readonly<{
  model: Model;
  /** Of the file, at which it begins. */
  line: number;
  write: (context: RenderContext) => string;
  refs: readonly string[];
  sources: readonly string[];
}>;

class Compiler {
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
  readonly compiled: CompiledModel[] = [];
  readonly #project: ModelProject;
  readonly #options: CompileOptions;
  readonly #tables: EmptyTables;
  readonly #columns = new Map<string, readonly SqlColumn[]>();
  /** Names as engines have them when models run. */
  readonly #job: RenderContext;
  /** Names of the empty tables. */
  readonly #bound: RenderContext;

  constructor(project: ModelProject, options: CompileOptions, tables: EmptyTables) {
    const { sources, variables } = options;
    const job = jobContext(sources, { variables, runStartedAtMs: Date.UTC(2000, 0) });
    this.#project = project;
    this.#options = options;
    this.#tables = tables;
    this.#job = job;
    this.#bound = {
      ...job,
      relationOf: (model) => tables.nameOf(job.relationOf(model)),
      sourceRelationOf: (source) => tables.nameOf(job.sourceRelationOf(source)),
      // So that it is looked up.
      affected: (column) => `(${column} IS NOT NULL)`,
    };
  }

  async add(model: Model): Promise<void> {
    const before = this.problems.length;
    this.#checkTags(model);
    // Of what is not there nothing more can be said; models that failed have said it themselves.
    const isRead = [...model.refs, ...model.testRefs].every((name) => this.#columns.has(name));
    if (this.problems.length > before || !isRead) return;
    await this.#createSources([...model.sources, ...model.testSources]);
    const { refs, sources, line } = model;
    const write = (context: RenderContext) => renderSql(model.sql, context);
    const query = { model, line, write, refs, sources };
    const bound = await this.#bind(query);
    if (bound === undefined) return;
    const { ast, columns } = bound;
    this.#take(await this.#lint(query, columns));
    this.problems.push(...resultProblems(model, { columns, ast, sql: write(this.#job) }));
    const names = new Set(columns.map(({ name }) => name.toLowerCase()));
    if (names.size < columns.length) return;
    await this.#tables.add(sqlIdentifier(model.name), columns);
    this.#columns.set(model.name, columns);
    this.#take(
      checkHeader(model, columns, {
        columnsOf: (to) =>
          'ref' in to
            ? this.#columns.get(to.ref)
            : findSource(this.#options.sources, to.source)?.columns,
      }),
    );
    for (const test of model.header.tests) await this.#checkTest(model, test);
    this.compiled.push(this.#compiledModel(model, columns, ast));
  }

  #compiledModel(model: Model, columns: readonly SqlColumn[], ast: SqlNode): CompiledModel {
    const full = (source: string) => fullName(known(this.#options.sources, source));
    return {
      model,
      columns,
      dependsOn: model.refs,
      sources: [...new Set(model.sources.map(full))],
      render: (context) =>
        renderSql(model.sql, {
          ...context,
          sourceRelationOf: (source) => context.sourceRelationOf(full(source)),
        }),
      ast,
    };
  }

  /** Sources and variables of the model and its tests. */
  #checkTags(model: Model): void {
    const { file } = model;
    const { sources, variables } = this.#options;
    const missing = (source: string) => findSource(sources, source) === undefined;
    for (const { line, ...tag } of needsOf(model)) {
      if ('source' in tag && missing(tag.source))
        this.problems.push({ file, line, text: noSource(tag.source, sources) });
      if ('variable' in tag && !Object.hasOwn(variables, tag.variable))
        this.problems.push({ file, line, text: noVariable(tag.variable, variables) });
    }
  }

  async #createSources(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const table = known(this.#options.sources, name);
      await this.#tables.add(sourceRelation(table), table.columns);
    }
  }

  /** Parses a query and finds its columns; undefined when that can't be done, which is a problem then. */
  async #bind(
    query: Query,
  ): Promise<Readonly<{ ast: SqlNode; columns: readonly SqlColumn[] }> | undefined> {
    const { model, write, refs, sources } = query;
    const sql = write(this.#job);
    const parsed = await parseSelect(this.#options.engine, sql);
    if ('problem' in parsed) return this.#note(query, [parsed]);
    const { ast } = parsed;
    const past = readProblems(sql, ast, {
      allowed: new Set([
        ...refs.map((ref) => this.#job.relationOf(ref)),
        ...sources.map((source) => this.#job.sourceRelationOf(source)),
      ]),
      isModel: (name) => this.#columns.has(name),
      sources: this.#options.sources,
    });
    if (past.length > 0) return this.#note(query, past);
    const columns = await this.#tables.describe(write(this.#bound));
    if ('problem' in columns) {
      const { problem, line } = columns;
      const { models } = this.#project;
      const { sources: tables } = this.#options;
      const told = toldProblem(problem, model, { models, sources: tables });
      return this.#note(query, [{ problem: told, line }]);
    }
    return { ast, columns };
  }

  /** What a test says in SQL of its own. */
  async #checkTest(model: Model, test: ModelTest): Promise<void> {
    if (test.kind !== 'expression' && test.kind !== 'sql') return;
    const write = (context: RenderContext) =>
      test.kind === 'sql'
        ? renderSql(test.sql, context)
        : `SELECT (${renderSql(test.expression, context)}) AS holds FROM ${context.relationOf(model.name)}`;
    const { line } = test;
    const refs = [model.name, ...model.testRefs];
    const query = { model, line, write, refs, sources: model.testSources };
    const bound = await this.#bind(query);
    if (bound === undefined) return;
    const type = bound.columns[0]?.type;
    if (test.kind === 'expression' && type !== 'BOOLEAN') {
      const problem = `expected a condition, found ${type ?? 'none'}: ${test.expression}`;
      this.#note(query, [{ problem, line: 1 }]);
    }
    this.#take(await this.#lint(query, []));
  }

  /** `columns`: what of the query is kept. */
  async #lint(query: Query, columns: readonly SqlColumn[]): Promise<Found> {
    const { model, line, write, refs, sources } = query;
    const { file, header } = model;
    if (header.dialect !== 'portable') return { problems: [], warnings: [] };
    const inputs = [
      ...refs.flatMap((ref) => this.#columns.get(ref) ?? []),
      ...sources.flatMap((source) => known(this.#options.sources, source).columns),
    ];
    const sql = write(this.#bound);
    return portabilityProblems(this.#options.engine, {
      place: { file, line },
      sql,
      columns,
      inputs,
    });
  }

  #take({ problems, warnings }: Found): void {
    this.problems.push(...problems);
    this.warnings.push(...warnings);
  }

  #note({ model, line: firstLine }: Query, found: readonly SqlProblem[]): undefined {
    for (const { problem, line } of found)
      this.problems.push({ file: model.file, line: firstLine + line - 1, text: problem });
    return undefined;
  }
}

type Found = Readonly<{ problems: readonly Problem[]; warnings: readonly Problem[] }>;

function known(sources: readonly SourceTable[], source: string): SourceTable {
  return must(findSource(sources, source), 'sources are checked before');
}

function noSource(source: string, sources: readonly SourceTable[]): string {
  const near = didYouMean(
    source,
    sources.flatMap((table) => [table.name, fullName(table)]),
  );
  if (near !== '') return `there is no table ${source}${near}`;
  return sources.length === 0
    ? `there is no table ${source}: the lake holds none yet`
    : `there is no table ${source}; there are ${sources.map(fullName).join(', ')}`;
}

function noVariable(name: string, variables: Variables): string {
  const near = didYouMean(name, Object.keys(variables));
  const how = `: set it in pipeline.ts (modelVariables), or give a default, {{ var('${name}', …) }}`;
  return `the variable ${name} has no value${near === '' ? how : near}`;
}
