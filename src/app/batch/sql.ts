import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { randomUUID } from 'node:crypto';
import { Lake } from '../../batch/lake/lake.ts';
import { isNode, nodesOf, parseSelect, type SqlNode } from '../../batch/models/ast.ts';
import { sqlIdentifier, sqlString } from '../../batch/models/literal.ts';
import { withoutEnd } from '../../batch/models/template.ts';
import { MillraceError } from '../../domain/errors.ts';
import { flushFile } from '../../lib/flush-file.ts';
import type { SqlColumn, SqlEngine, SqlRows } from '../../ports/sql-engine.ts';
import type { Config } from '../config/config.ts';
import { checkTargetFile } from '../target-file.ts';
import { openEngine } from './open.ts';
import { type NamedRelation, SEARCHED_SCHEMAS, SqlCatalogue, sqlName } from './sql-catalogue.ts';

export type LakeQuestion = Readonly<{
  sql: string;
  /** Tables are shown as they were then. */
  atMs?: number;
}>;

/** Of the configuration: where the lake is, and how much memory an answer may take. */
type LakeQueryConfig = Readonly<{
  lake: Pick<Config['lake'], 'dir'>;
  batch: Pick<Config['batch'], 'memory'>;
}>;

/**
 * A question to one version of the lake, whatever is written meanwhile. It only reads: anything but
 * one SELECT (in whatever form DuckDB has it), DESCRIBE, SHOW, SUMMARIZE or EXPLAIN is refused.
 * Files are opened of what the question names alone.
 */
export class LakeQuery implements AsyncDisposable {
  readonly #engine: SqlEngine;
  readonly #lakeDir: string;
  readonly #sql: string;
  readonly #signal: AbortSignal;
  /** EXPLAIN: its one column of text is to be read as it stands. */
  readonly isExplanation: boolean;
  /** Of the tables that it names. */
  readonly warnings: readonly string[];

  private constructor(
    engine: SqlEngine,
    {
      lakeDir,
      sql,
      isExplanation,
      warnings,
    }: Readonly<{
      lakeDir: string;
      sql: string;
      isExplanation: boolean;
      warnings: readonly string[];
    }>,
    signal: AbortSignal,
  ) {
    this.#engine = engine;
    this.#lakeDir = lakeDir;
    this.#sql = sql;
    this.isExplanation = isExplanation;
    this.warnings = warnings;
    this.#signal = signal;
  }

  /**
   * Throws `lake_missing`, `usage` for a statement that does not read and for a name that means two
   * things, `sql_failed` for one that can't be parsed, `lake_horizon` for a time that is past it.
   */
  static async open(
    config: LakeQueryConfig,
    { sql: text, atMs }: LakeQuestion,
    signal: AbortSignal,
  ): Promise<LakeQuery> {
    // Opening would make a folder of one that is merely misspelt.
    if (!existsSync(join(config.lake.dir, 'manifests')))
      throw new MillraceError('lake_missing', { lake: config.lake.dir });
    const lake = await Lake.open(config.lake.dir);
    await using resources = new AsyncDisposableStack();
    const engine = resources.use(await openEngine(config));
    const sql = withoutEnd(text);
    const { ast, isExplanation } = await readingStatement(engine, sql);
    const manifest = await lake.manifest();
    const catalogue = new SqlCatalogue(lake, { manifest, atMs });
    const named = await prepare(engine, catalogue, ast, signal);
    const warnings = [...named].flatMap(({ warning }) => warning ?? []);
    resources.move();
    return new LakeQuery(engine, { lakeDir: lake.dir, sql, isExplanation, warnings }, signal);
  }

  /** Some thousand rows at a time, in constant memory; at least one batch, which tells the columns. */
  async *rows(): AsyncGenerator<SqlRows> {
    try {
      yield* this.#engine.read(this.#sql, this.#signal);
    } catch (error) {
      throw this.#told(error);
    }
  }

  /** How many there are, without reading what the count does not need. */
  async count(): Promise<number> {
    const { rows } = await this.#engine.query(
      `SELECT count(*) FROM (${this.#sql}\n)`,
      [],
      this.#signal,
    );
    return Number(rows[0]?.[0]);
  }

  /** Returns how many rows. The file is there whole, or as it was before. Throws `usage` where it can't be. */
  async writeParquet(file: string, limit = Infinity): Promise<number> {
    await checkTargetFile(file);
    const draft = `${file}.${randomUUID()}`;
    try {
      const all = await this.#exact();
      const sql = limit === Infinity ? all : `FROM (${all}\n) LIMIT ${limit}`;
      const to = `'${draft.replaceAll("'", "''")}'`;
      const copy = `COPY (${sql}\n) TO ${to} (FORMAT parquet, COMPRESSION zstd)`;
      const rows = await this.#engine.run(copy, this.#signal);
      await flushFile(draft);
      await rename(draft, file);
      return rows;
    } catch (error) {
      throw this.#told(error);
    } finally {
      await rm(draft, { force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
  }

  /** A file that the question itself names is not of the lake, and nothing of it is to be mended there. */
  #told(error: unknown): unknown {
    if (!(error instanceof MillraceError) || error.code !== 'lake_file_damaged') return error;
    const { file, problem } = error.facts;
    if (!relative(this.#lakeDir, String(file)).startsWith('..')) return error;
    return new MillraceError('sql_failed', { problem }, error);
  }

  /** Parquet has no whole numbers of 128 bits: DuckDB would write them as floating point. */
  async #exact(): Promise<string> {
    if (this.isExplanation)
      throw new MillraceError('usage', {
        expected: 'a plan as text: --format table, csv or json',
        found: '--format parquet',
      });
    const { rows } = await this.#engine.query(`DESCRIBE ${this.#sql}`, [], this.#signal);
    const columns = rows.map(([name, type]): SqlColumn => ({
      name: name as string,
      type: type as string,
    }));
    const wide = columns.filter(({ type }) => /^U?HUGEINT$/.test(type));
    if (wide.length === 0) return this.#sql;
    const exact = wide.map(({ name }) => {
      const column = sqlIdentifier(name);
      return `CAST(${column} AS DECIMAL(38,0)) AS ${column}`;
    });
    return `SELECT * REPLACE (${exact.join(', ')}) FROM (${this.#sql}\n)`;
  }
}

/** DuckDB's own parser says whether a statement reads; it knows all but EXPLAIN, which may stand before. */
async function readingStatement(
  engine: SqlEngine,
  sql: string,
): Promise<Readonly<{ ast: SqlNode; isExplanation: boolean }>> {
  const [explain = ''] = EXPLAIN.exec(sql) ?? [];
  // Blanks in its place, so that lines stay what they are.
  const explained = explain.replaceAll(/[^\n]/g, ' ') + sql.slice(explain.length);
  const parsed = await parseSelect(engine, explained);
  if ('ast' in parsed) return { ast: parsed.ast, isExplanation: explain !== '' };
  if (!parsed.problem.startsWith('expected one SELECT'))
    throw new MillraceError('sql_failed', parsed);
  const found = parsed.problem.replace(/^.*, found /, '');
  throw new MillraceError('usage', {
    expected:
      'one statement that reads: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN',
    found: found === 'another statement' ? firstWord(sql) : found,
    line: parsed.line,
  });
}

const BLANK = String.raw`(?:\s|--[^\n]*|/\*[^]*?\*/)`;
const EXPLAIN = new RegExp(
  String.raw`^${BLANK}*explain\b${BLANK}*(?:analyze\b)?${BLANK}*(?:\((?:[^()'"]*)\)(?=${BLANK}*[a-z]))?`,
  'i',
);

function firstWord(sql: string): string {
  return new RegExp(`^${BLANK}*(\\w+)`).exec(sql)?.[1]?.toUpperCase() ?? 'another statement';
}

/** Makes views of what the question names, and returns that; of all else only the names and columns, for suggestions and SHOW. */
async function prepare(
  engine: SqlEngine,
  catalogue: SqlCatalogue,
  ast: SqlNode,
  signal: AbortSignal,
): Promise<ReadonlySet<NamedRelation>> {
  const schemas = catalogue.schemas.map(
    (name) => `CREATE SCHEMA IF NOT EXISTS ${sqlIdentifier(name)}`,
  );
  const placeholders = catalogue.relations.flatMap(placeholder);
  await engine.run([...schemas, ...placeholders].join(';\n'), signal);
  const views = new Views(engine, catalogue, signal);
  await views.addAll(namedBy(ast, catalogue));
  await engine.run(`SET search_path = '${SEARCHED_SCHEMAS.join(',')}'`, signal);
  return views.made;
}

/** Never mistaken for an empty table: to read it fails. */
function placeholder(relation: NamedRelation): readonly string[] {
  const { columns } = relation;
  if (columns === undefined) return [];
  const nulls = columns.map(({ name, type }) => `CAST(NULL AS ${type}) AS ${sqlIdentifier(name)}`);
  const why = `${relation.schema}.${relation.name} is read in a way that hides its name: write it in FROM`;
  return [
    `CREATE VIEW ${sqlName(relation)} AS SELECT ${nulls.join(', ')} WHERE CAST(error(${sqlString(why)}) AS BOOLEAN)`,
  ];
}

class Views {
  readonly #engine: SqlEngine;
  readonly #catalogue: SqlCatalogue;
  readonly #signal: AbortSignal;
  /** With those that they name. */
  readonly made = new Set<NamedRelation>();

  constructor(engine: SqlEngine, catalogue: SqlCatalogue, signal: AbortSignal) {
    this.#engine = engine;
    this.#catalogue = catalogue;
    this.#signal = signal;
  }

  async addAll(relations: readonly NamedRelation[]): Promise<void> {
    for (const relation of relations) await this.#add(relation);
  }

  async #add(relation: NamedRelation): Promise<void> {
    if (this.made.has(relation)) return;
    this.made.add(relation);
    const sql = relation.sql();
    if (relation.namesOthers) {
      const parsed = await parseSelect(this.#engine, sql);
      if ('ast' in parsed) await this.addAll(namedBy(parsed.ast, this.#catalogue));
    }
    await this.#engine.run(`CREATE OR REPLACE VIEW ${sqlName(relation)} AS ${sql}`, this.#signal);
  }
}

function namedBy(ast: SqlNode, catalogue: SqlCatalogue): readonly NamedRelation[] {
  const named: NamedRelation[] = [];
  for (const node of nodesOf(ast)) {
    if (node['type'] === 'TABLE_FUNCTION' && isQuery(node)) return catalogue.relations;
    if (node['type'] !== 'BASE_TABLE') continue;
    const [schema, name] = [String(node['schema_name']), String(node['table_name'])];
    const renamed = catalogue.findRenamed(schema, name);
    if (renamed !== undefined && !isCommonTable(ast, name))
      throw new MillraceError('usage', {
        expected: `${sqlName(renamed)}, as it is called here: names are the same in any case`,
        found: name,
      });
    // A common table may have this name, too; then what it hides is prepared for nothing.
    const found = catalogue.find(schema, name);
    if (found.length > 1 && !isCommonTable(ast, name))
      throw new MillraceError('usage', {
        expected: `one of ${found.map(({ schema: each }) => `${each}.${name}`).join(' and ')}`,
        found: `${name}, which is a model and a table`,
      });
    named.push(...found);
  }
  return named;
}

/** They take a name, or SQL, as text. */
function isQuery({ function: call }: SqlNode): boolean {
  return isNode(call) && ['query', 'query_table'].includes(String(call['function_name']));
}

function isCommonTable(ast: SqlNode, name: string): boolean {
  for (const { cte_map: map } of nodesOf(ast)) {
    const entries: unknown = isNode(map) ? map['map'] : undefined;
    if (Array.isArray(entries) && entries.some((each) => isNode(each) && each['key'] === name))
      return true;
  }
  return false;
}
