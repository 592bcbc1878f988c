import { dirname, join } from 'node:path';
import type { Model, Variables } from '../models/model.ts';
import type { Problem } from '../models/problem.ts';
import { readProjectFile } from '../models/project-file.ts';
import type { ModelProject } from '../models/project.ts';
import { YamlValue } from '../models/yaml-value.ts';

/** What a model is expected to make of given rows, as a file beside it tells. */
export type UnitTest = Readonly<{
  name: string;
  model: string;
  /** As messages show it, such as `models/customer_segments.test.yaml`. */
  file: string;
  line: number;
  /** What the model takes as the present time. */
  nowMs: number;
  variables: Variables;
  /** By the model's or the source's name, as the model names it; the others have no rows. */
  given: readonly GivenRows[];
  expect: readonly UnitRow[];
  /** The order counts too. */
  ordered: boolean;
}>;

export type GivenRows = Readonly<{ name: string; line: number; rows: readonly UnitRow[] }>;

/** Columns that are not there are null when given, and not compared when expected. */
export type UnitRow = Readonly<{ line: number; values: ReadonlyMap<string, unknown> }>;

/** The present time of tests that do not say: the same whenever they are run. */
const NOW_MS = Date.UTC(2000, 0);

/** The tests of `x.test.yaml` beside `x.sql`; none without the file. What is wrong goes to `problems`. */
export async function readUnitTests(
  { dir }: ModelProject,
  model: Model,
  problems: Problem[],
): Promise<readonly UnitTest[]> {
  const file = model.file.replace(/\.sql$/, '.test.yaml');
  const read = await readProjectFile(join(dirname(dir), file));
  if (read === undefined) return [];
  if ('text' in read) return parseUnitTests(read.text, { model: model.name, file }, problems);
  problems.push({ file, line: 1, text: read.problem });
  return [];
}

function parseUnitTests(
  text: string,
  { model, file }: Readonly<{ model: string; file: string }>,
  problems: Problem[],
): readonly UnitTest[] {
  const document = YamlValue.parse(text, { file, firstLine: 1, problems });
  const names = new Set<string>();
  return (document?.list() ?? []).flatMap((item) => {
    const entries = item.entries(['name', 'now', 'variables', 'given', 'expect', 'ordered']);
    const name = entries.get('name')?.text();
    const [given, expect] = [entries.get('given'), entries.get('expect')];
    if (name === undefined)
      return item.problem('expected a name, which says what is expected') ?? [];
    if (names.has(name)) return item.problem(`there is a test of this name before: ${name}`) ?? [];
    names.add(name);
    if (expect === undefined) return item.problem('expected `expect`, the rows of the model') ?? [];
    const now = entries.get('now');
    return [
      {
        name,
        model,
        file,
        line: item.line,
        nowMs: now === undefined ? NOW_MS : timeOf(now),
        variables: variablesOf(entries.get('variables')),
        given: [...(given?.entries() ?? [])].map(([relation, rows]) => ({
          name: relation,
          line: rows.line,
          rows: rowsOf(rows),
        })),
        expect: rowsOf(expect),
        ordered: entries.get('ordered')?.value() === true,
      },
    ];
  });
}

function timeOf(value: YamlValue): number {
  const text = value.value();
  const ms = typeof text === 'string' ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) {
    value.problem(`expected a time such as '2026-01-31T12:00:00Z', found ${String(text)}`);
    return NOW_MS;
  }
  return ms;
}

function variablesOf(value: YamlValue | undefined): Variables {
  const entries = [...(value?.entries() ?? [])].flatMap(([name, each]) => {
    const found = each.value();
    if (typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean')
      return [[name, found] as const];
    each.problem('expected text, a number, true or false');
    return [];
  });
  return Object.fromEntries(entries);
}

function rowsOf(value: YamlValue): readonly UnitRow[] {
  return value.list().map((row) => ({
    line: row.line,
    values: new Map([...row.entries()].map(([name, each]) => [name, each.value()])),
  }));
}
