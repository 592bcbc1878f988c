import { MillraceError } from '../../domain/errors.ts';
import { didYouMean } from '../../lib/suggestion.ts';
import { must } from '../../lib/must.ts';
import type { SqlColumn, SqlEngine } from '../../ports/sql-engine.ts';
import { type CompiledModel, jobContext } from '../models/compile.ts';
import { sqlIdentifier, sqlString } from '../models/literal.ts';
import type { Model, Variables } from '../models/model.ts';
import { type Problem, refuse } from '../models/problem.ts';
import { findSource, sourceRelation, type SourceTable } from '../models/source-table.ts';
import { differences } from './row-difference.ts';
import type { GivenRows, UnitRow, UnitTest } from './unit-test-file.ts';

export type UnitTestReport = Readonly<{
  name: string;
  model: string;
  file: string;
  line: number;
  seconds: number;
}> &
  (
    | Readonly<{ outcome: 'passed' }>
    /** A line for each row that is not as expected. */
    | Readonly<{ outcome: 'failed'; differences: readonly string[] }>
    /** The model could not be run over what is given. */
    | Readonly<{ outcome: 'error'; problem: string }>
  );

export type UnitTestOptions = Readonly<{
  engine: SqlEngine;
  /** All of the project: what is given for a model has that one's columns. */
  models: readonly CompiledModel[];
  sources: readonly SourceTable[];
  /** Those of the project; a test's own win. */
  variables: Variables;
  onReport: (report: UnitTestReport) => void;
  signal: AbortSignal;
}>;

/**
 * Runs models over given rows, and compares what they make with what is expected. Given values take
 * the types of the columns they stand for. Throws `models_invalid` when a test names what its model
 * does not read, or columns that are not there; then none has run.
 */
export async function runUnitTests(
  tests: readonly UnitTest[],
  options: UnitTestOptions,
): Promise<readonly UnitTestReport[]> {
  const problems: Problem[] = [];
  const prepared = tests.map((test) => prepare(test, options, problems));
  refuse(problems);
  const reports: UnitTestReport[] = [];
  for (const each of prepared) {
    const report = await runOne(each, options);
    reports.push(report);
    options.onReport(report);
  }
  return reports;
}

type Prepared = Readonly<{
  test: UnitTest;
  model: CompiledModel;
  /** What the model reads: by its name there, quoted, the rows given for it, and how the test calls it. */
  relations: readonly Readonly<{ name: string; rows: string; given: string | undefined }>[];
}>;

function prepare(
  test: UnitTest,
  { models, sources }: UnitTestOptions,
  problems: Problem[],
): Prepared {
  const model = must(
    models.find((each) => each.model.name === test.model),
    'tests are read beside models',
  );
  const inputs = inputsOf(model, models, sources);
  const given = new Map<string, GivenRows>();
  for (const each of test.given) {
    const input = inputs.find(({ names }) => names.includes(each.name));
    if (input === undefined) {
      const known = inputs.flatMap(({ names }) => names.slice(0, 1));
      const text = `${test.model} does not read ${each.name}${didYouMean(each.name, known) || `; it reads ${known.join(', ')}`}`;
      problems.push({ file: test.file, line: each.line, text });
      continue;
    }
    checkColumns(test, each.rows, input.columns, each.name, problems);
    given.set(input.relation, each);
  }
  checkColumns(test, test.expect, model.columns, test.model, problems);
  const relations = inputs.map(({ relation, columns }) => {
    const rows = given.get(relation);
    return { name: relation, rows: rowsSql(rows?.rows ?? [], columns), given: rows?.name };
  });
  return { test, model, relations };
}

type Input = Readonly<{
  /** As a test may call it. */
  names: readonly string[];
  /** As the model's SQL does, quoted. */
  relation: string;
  columns: readonly SqlColumn[];
}>;

function inputsOf(
  { model }: CompiledModel,
  models: readonly CompiledModel[],
  sources: readonly SourceTable[],
): readonly Input[] {
  return [
    ...model.refs.map((ref) => {
      const { columns } = must(
        models.find((each) => each.model.name === ref),
        'a compiled model reads compiled ones',
      );
      return { names: [ref], relation: sqlIdentifier(ref), columns };
    }),
    ...model.sources.map((source) => {
      const table = must(findSource(sources, source), 'sources are checked at compile');
      const { schema, name, columns } = table;
      const relation = sourceRelation(table);
      return { names: [source, name, `${schema}.${name}`], relation, columns };
    }),
  ];
}

function checkColumns(
  { file }: UnitTest,
  rows: readonly UnitRow[],
  columns: readonly SqlColumn[],
  of: string,
  problems: Problem[],
): void {
  const known = columns.map(({ name }) => name);
  for (const { line, values } of rows)
    for (const name of values.keys())
      if (!known.includes(name)) {
        const text = `${of} has no column ${name}${didYouMean(name, known) || `; it has ${known.join(', ')}`}`;
        problems.push({ file, line, text });
      }
}

/** In one line, as what comes after keeps its lines' numbers. */
function rowsSql(rows: readonly UnitRow[], columns: readonly SqlColumn[]): string {
  const select = (row: UnitRow | undefined) =>
    `SELECT ${columns
      .map(({ name, type }) => `${valueSql(row?.values.get(name), type)} AS ${sqlIdentifier(name)}`)
      .join(', ')}`;
  return rows.length === 0
    ? `${select(undefined)} WHERE FALSE`
    : rows.map(select).join(' UNION ALL ');
}

/** The value as if it had been written into a column of this type. */
function valueSql(value: unknown, type: string): string {
  if (value === null || value === undefined) return `CAST(NULL AS ${type})`;
  if (type === 'BLOB' && typeof value === 'string' && value.startsWith(String.raw`\x`))
    return `unhex(${sqlString(value.slice(2))})`;
  const text =
    typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value);
  const isNested = typeof value === 'object' && type !== 'VARCHAR';
  return `CAST(${isNested ? `CAST(${sqlString(text)} AS JSON)` : sqlString(text)} AS ${type})`;
}

async function runOne(
  { test, model, relations }: Prepared,
  { engine, sources, variables, signal }: UnitTestOptions,
): Promise<UnitTestReport> {
  const startedMs = performance.now();
  const { name, file, line } = test;
  const report = () => ({
    name,
    model: test.model,
    file,
    line,
    seconds: (performance.now() - startedMs) / 1000,
  });
  const sql = model.render(
    jobContext(sources, {
      variables: { ...variables, ...test.variables },
      runStartedAtMs: test.nowMs,
    }),
  );
  const relationSqls = relations.map((relation) => `${relation.name} AS (${relation.rows})`);
  const withs = relationSqls.length === 0 ? '' : `WITH ${relationSqls.join(', ')} `;
  let place: (line: number) => string = () => '';
  try {
    for (const { given, rows } of relations) {
      if (given === undefined) continue;
      // Alone, as the model may not come to look at every value.
      place = () => `given ${given}`;
      await engine.query(rows, [], signal);
    }
    // Written as the engine writes what the model makes, so that equal values look alike.
    place = () => 'expect';
    const expected = await engine.query(rowsSql(test.expect, model.columns), [], signal);
    // The model's SQL begins in the second line.
    place = (at) => placeIn(model.model, at - 1);
    const found = await engine.query(`${withs}SELECT * FROM (\n${sql}\n) AS made`, [], signal);
    const lines = differences(expected, test.expect, found, test.ordered);
    if (lines.length === 0) return { ...report(), outcome: 'passed' };
    return { ...report(), outcome: 'failed', differences: lines };
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'sql_failed') throw error;
    const { problem, line: at } = error.facts;
    const told = `${place(typeof at === 'number' ? at : 0)}: ${String(problem)}`;
    return { ...report(), outcome: 'error', problem: told };
  }
}

function placeIn({ file, line }: Model, at: number): string {
  return at < 1 ? file : `${file}:${line + at - 1}`;
}
