import { randomUUID } from 'node:crypto';
import { MillraceError } from '../../domain/errors.ts';
import { didYouMean } from '../../lib/suggestion.ts';
import { must } from '../../lib/must.ts';
import type { SqlColumn, SqlEngine } from '../../ports/sql-engine.ts';
import { lineAt, nodesOf, parseSelect, type SqlNode, tablesRead } from './ast.ts';
import { checkHeader } from './header-check.ts';
import { sqlIdentifier } from './literal.ts';
import type { Model, RenderContext, Variables } from './model.ts';
import { portabilityProblems } from './portability.ts';
import { byPlace, type Problem, refuse } from './problem.ts';
import type { ModelProject } from './project.ts';
import { resultProblems } from './result-columns.ts';
import { findSource, fullName, sourceRelation, type SourceTable } from './source-table.ts';
import { parseTemplate, renderSql, type TemplateTag, tagsOf } from './template.ts';

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
  const compiler = new Compiler(options);
  await compiler.open();
  try {
    for (const model of project.models) {
      signal.throwIfAborted();
      await compiler.add(model);
    }
  } finally {
    await compiler.close();
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
    sourceRelationOf: (source) =>
      sourceRelation(must(findSource(sources, source), 'sources are checked at compile')),
    affected: () => 'TRUE',
  };
}

class Compiler {
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
  readonly compiled: CompiledModel[] = [];
  readonly #options: CompileOptions;
  /** Empty tables stand here, apart from whatever else the engine holds. */
  readonly #schema = `compile_${randomUUID().replaceAll('-', '')}`;
  readonly #columns = new Map<string, readonly SqlColumn[]>();
  readonly #tables = new Set<SourceTable>();

  constructor(options: CompileOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    await this.#options.engine.run(`CREATE SCHEMA ${this.#schema}`);
  }

  async close(): Promise<void> {
    await this.#options.engine.run(`DROP SCHEMA ${this.#schema} CASCADE`);
  }

  async add(model: Model): Promise<void> {
    const { engine, sources } = this.#options;
    const before = this.problems.length;
    this.#checkTags(model);
    // Of what is not there nothing more can be said; models that failed have said it themselves.
    if (this.problems.length > before || !this.#canRead([...model.refs, ...model.testRefs])) return;
    const job = renderSql(model.sql, this.#job());
    const parsed = await parseSelect(engine, job);
    if ('problem' in parsed) {
      this.#note(model, model.line, parsed);
      return;
    }
    const { ast } = parsed;
    this.#checkReads(model, job, ast);
    if (this.problems.length > before) return;
    await this.#createSources([...model.sources, ...model.testSources]);
    const bound = renderSql(model.sql, this.#bound());
    const columns = await this.#describe(model, model.line, bound);
    if (columns === undefined) return;
    const portable = await this.#lint(model, model.line, bound, columns);
    this.problems.push(...portable.problems, ...resultProblems(model, { columns, ast, sql: job }));
    this.warnings.push(...portable.warnings);
    const names = new Set(columns.map(({ name }) => name.toLowerCase()));
    if (names.size < columns.length) return;
    await this.#createTable(sqlIdentifier(model.name), columns);
    this.#columns.set(model.name, columns);
    const header = checkHeader(model, columns, {
      columnsOf: (to) =>
        'ref' in to ? this.#columns.get(to.ref) : findSource(sources, to.source)?.columns,
    });
    this.problems.push(...header.problems);
    this.warnings.push(...header.warnings);
    await this.#checkTests(model);
    this.compiled.push({
      model,
      columns,
      dependsOn: model.refs,
      sources: [...new Set(model.sources.map((source) => this.#fullName(source)))],
      render: (context) =>
        renderSql(model.sql, {
          ...context,
          sourceRelationOf: (source) => context.sourceRelationOf(this.#fullName(source)),
        }),
      ast,
    });
  }

  /** Sources and variables of the model and its tests. */
  #checkTags(model: Model): void {
    const { sources, variables } = this.#options;
    const known = sources.flatMap((table) => [table.name, fullName(table)]);
    for (const tag of allTags(model)) {
      const place = { file: model.file, line: tag.line };
      if (tag.kind === 'source' && findSource(sources, tag.source) === undefined)
        this.problems.push({ ...place, text: this.#noSource(tag.source, known) });
      if (tag.kind === 'var' && tag.fallback === undefined && !Object.hasOwn(variables, tag.name))
        this.problems.push({
          ...place,
          text: `the variable ${tag.name} has no value${didYouMean(tag.name, Object.keys(variables)) || `: set it in pipeline.ts (modelVariables), or give a default, {{ var('${tag.name}', …) }}`}`,
        });
    }
  }

  #noSource(source: string, known: readonly string[]): string {
    const near = didYouMean(source, known);
    if (near !== '') return `there is no table ${source}${near}`;
    if (known.length === 0) return `there is no table ${source}: the lake holds none yet`;
    return `there is no table ${source}; there are ${this.#options.sources.map(fullName).join(', ')}`;
  }

  #canRead(models: readonly string[]): boolean {
    return models.every((name) => this.#columns.has(name));
  }

  /** Only what `ref` and `source` name is there when models run. */
  #checkReads(model: Model, sql: string, ast: SqlNode): void {
    const { sources } = this.#options;
    const allowed = new Set([
      ...model.refs.map(sqlIdentifier),
      ...model.sources.map((source) => this.#job().sourceRelationOf(source)),
    ]);
    for (const { schema, name, location } of tablesRead(ast)) {
      if (schema === '' && allowed.has(sqlIdentifier(name))) continue;
      const shown = schema === '' ? name : `${schema}.${name}`;
      const text = this.#columns.has(shown)
        ? `reads ${shown} past its reference: write {{ ref('${shown}') }}`
        : findSource(sources, shown) === undefined
          ? `there is no ${shown}: models are read as {{ ref('model') }}, tables as {{ source('table') }}`
          : `reads ${shown} past its reference: write {{ source('${shown}') }}`;
      this.#note(model, model.line, { problem: text, line: lineAt(sql, location) });
    }
    for (const node of nodesOf(ast)) {
      if (node['type'] !== 'TABLE_FUNCTION') continue;
      const call = node['function'] as SqlNode | undefined;
      const name = String(call?.['function_name']);
      if (TABLE_FUNCTIONS.has(name)) continue;
      this.#note(model, model.line, {
        problem: `${name}(…) is not for models, which read {{ ref('model') }} and {{ source('table') }} alone`,
        line: lineAt(sql, Number(node['query_location'])),
      });
    }
  }

  async #createSources(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const table = must(findSource(this.#options.sources, name), 'sources are checked before');
      if (this.#tables.has(table)) continue;
      this.#tables.add(table);
      await this.#createTable(sourceRelation(table), table.columns);
    }
  }

  async #createTable(name: string, columns: readonly SqlColumn[]): Promise<void> {
    const list = columns.map((column) => `${sqlIdentifier(column.name)} ${column.type}`);
    await this.#options.engine.run(`CREATE TABLE ${this.#schema}.${name} (${list.join(', ')})`);
  }

  /** The columns that a SELECT gives; undefined when it can't be bound, which is a problem then. */
  async #describe(
    model: Model,
    firstLine: number,
    sql: string,
  ): Promise<readonly SqlColumn[] | undefined> {
    try {
      const { rows } = await this.#options.engine.query(`DESCRIBE ${sql}`);
      return rows.map(([name, type]) => ({ name: name as string, type: type as string }));
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== 'sql_failed') throw error;
      const { problem, line } = error.facts;
      const text = this.#told(model, String(problem));
      this.#note(model, firstLine, { problem: text, line: typeof line === 'number' ? line : 1 });
      return undefined;
    }
  }

  /** In one line, with relations as the file knows them, and with what became of a column. */
  #told(model: Model, problem: string): string {
    const text = problem
      .replace(/^(Binder|Catalog|Parser|Conversion|Invalid Input) Error: /, '')
      .replaceAll(`${this.#schema}.`, '')
      .replaceAll(/\s*\n\s*/g, ' ')
      .replace(/[.!]? Candidate bindings: (: )?/, '; there is ');
    const named = /column (?:named )?"([^"]+)"/i.exec(text)?.[1]?.split('.').at(-1);
    const dropped = model.sources.flatMap((source) => {
      const table = must(findSource(this.#options.sources, source), 'sources are checked before');
      return table.dropped.filter(({ name }) => name === named).map((each) => ({ table, ...each }));
    });
    const [first] = dropped;
    if (first === undefined) return text;
    const at = first.atMs === undefined ? '' : `; seen at ${new Date(first.atMs).toISOString()}`;
    return `${text}. ${first.name} of ${fullName(first.table)} was dropped at the source${at}`;
  }

  /** What tests say in SQL of their own. */
  async #checkTests(model: Model): Promise<void> {
    const { engine } = this.#options;
    for (const test of model.header.tests) {
      if (test.kind !== 'expression' && test.kind !== 'sql') continue;
      const write = (context: RenderContext) =>
        test.kind === 'sql'
          ? renderSql(test.sql, context)
          : `SELECT (${renderSql(test.expression, context)}) AS holds FROM ${context.relationOf(model.name)}`;
      const [job, bound] = [write(this.#job()), write(this.#bound())];
      const parsed = await parseSelect(engine, job);
      if ('problem' in parsed) {
        this.#note(model, test.line, parsed);
        continue;
      }
      const columns = await this.#describe(model, test.line, bound);
      if (columns === undefined) continue;
      if (test.kind === 'expression' && columns[0]?.type !== 'BOOLEAN')
        this.#note(model, test.line, {
          problem: `expected a condition, found ${columns[0]?.type ?? 'none'}: ${test.expression}`,
          line: 1,
        });
      const portable = await this.#lint(model, test.line, bound, []);
      this.problems.push(...portable.problems);
      this.warnings.push(...portable.warnings);
    }
  }

  #lint(
    { file, header }: Model,
    line: number,
    sql: string,
    columns: readonly SqlColumn[],
  ): ReturnType<typeof portabilityProblems> {
    if (header.dialect !== 'portable') return Promise.resolve({ problems: [], warnings: [] });
    return portabilityProblems(this.#options.engine, { place: { file, line }, sql, columns });
  }

  #note(
    { file }: Model,
    firstLine: number,
    { problem, line }: Readonly<{ problem: string; line: number }>,
  ): void {
    this.problems.push({ file, line: firstLine + line - 1, text: problem });
  }

  #fullName(source: string): string {
    return fullName(must(findSource(this.#options.sources, source), 'sources are checked before'));
  }

  #job(): RenderContext {
    return jobContext(this.#options.sources, {
      variables: this.#options.variables,
      runStartedAtMs: Date.UTC(2000, 0),
    });
  }

  #bound(): RenderContext {
    const job = this.#job();
    return {
      ...job,
      relationOf: (model) => `${this.#schema}.${job.relationOf(model)}`,
      sourceRelationOf: (source) => `${this.#schema}.${job.sourceRelationOf(source)}`,
      // So that it is looked up.
      affected: (column) => `(${column} IS NOT NULL)`,
    };
  }
}

/** Those that make rows of their arguments alone. */
const TABLE_FUNCTIONS: ReadonlySet<string> = new Set(['unnest', 'range', 'generate_series']);

function allTags(model: Model): readonly TemplateTag[] {
  const texts = model.header.tests.flatMap((test) => {
    if (test.kind === 'sql') return [{ sql: test.sql, line: test.line }];
    if (test.kind === 'expression') return [{ sql: test.expression, line: test.line }];
    if (test.kind === 'relationships' && 'source' in test.to)
      return [{ sql: `{{ source('${test.to.source}') }}`, line: test.line }];
    return [];
  });
  return [{ sql: model.sql, line: model.line }, ...texts].flatMap(({ sql, line }) =>
    tagsOf(parseTemplate(sql, line).template),
  );
}
