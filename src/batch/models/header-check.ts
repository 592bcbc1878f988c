import { didYouMean } from '../../lib/suggestion.ts';
import type { SqlColumn } from '../../ports/sql-engine.ts';
import type { Model, ModelTest } from './model.ts';
import type { Problem } from './problem.ts';

type To = Extract<ModelTest, { kind: 'relationships' }>['to'];
type Known = Readonly<{
  /** Of a model or a source; undefined where it is not known. */
  columnsOf(of: To): readonly SqlColumn[] | undefined;
}>;

/** Holds the columns that a header names against those that there are. */
export function checkHeader(
  { file, header }: Model,
  columns: readonly SqlColumn[],
  { columnsOf }: Known,
): Readonly<{ problems: readonly Problem[]; warnings: readonly Problem[] }> {
  const problems: Problem[] = [];
  const expect = (
    column: string,
    among: readonly SqlColumn[],
    where: Readonly<{ line: number; of: string; type?: RegExp }>,
  ): void => {
    const found = among.find(({ name }) => name === column);
    const { line, of, type } = where;
    if (found === undefined)
      problems.push({ file, line, text: `${of} has no column ${column}${others(column, among)}` });
    else if (type !== undefined && !type.test(found.type))
      problems.push({
        file,
        line,
        text: `column ${column} of ${of}: expected a date or timestamp, found ${found.type}`,
      });
  };
  const own = { of: 'the model' };
  for (const test of header.tests) {
    for (const column of columnsOfTest(test))
      expect(column, columns, {
        line: test.line,
        ...own,
        ...(test.kind === 'freshness' ? { type: TIMES } : {}),
      });
    if (test.kind !== 'relationships') continue;
    const target = columnsOf(test.to);
    const of = 'ref' in test.to ? test.to.ref : test.to.source;
    if (target !== undefined) expect(test.field, target, { line: test.line, of });
  }
  if (header.incremental !== undefined) {
    const { column, affectedBy, line } = header.incremental;
    const type = header.materialization === 'incremental_by_time_range' ? { type: TIMES } : {};
    expect(column, columns, { line, ...own, ...type });
    for (const [source, by] of Object.entries(affectedBy)) {
      const among = columnsOf({ source });
      if (among !== undefined) expect(by, among, { line, of: source, ...type });
    }
  }
  const tested = new Set(header.tests.flatMap(columnsOfTest));
  const warnings = Object.entries(header.columns)
    .filter(([name]) => !tested.has(name) && !columns.some((column) => column.name === name))
    .map(([name, { line }]) => ({
      file,
      line,
      text: `the header tells of a column ${name} that the model does not have${didYouMean(name, namesOf(columns))}`,
    }));
  return { problems, warnings };
}

const TIMES = /^(DATE|TIMESTAMP)/;

function columnsOfTest(test: ModelTest): readonly string[] {
  if ('columns' in test) return test.columns;
  return 'column' in test ? [test.column] : [];
}

function others(column: string, among: readonly SqlColumn[]): string {
  return didYouMean(column, namesOf(among)) || `; it has ${namesOf(among).join(', ')}`;
}

function namesOf(columns: readonly SqlColumn[]): readonly string[] {
  return columns.map(({ name }) => name);
}
