import type { Model } from './model.ts';
import { upstream } from './project.ts';
import { findSource, fullName, type SourceTable } from './source-table.ts';

/** What a model stands among. */
type Known = Readonly<{ models: readonly Model[]; sources: readonly SourceTable[] }>;

/**
 * What an engine says of a model's SQL, in one line and without its class of errors; of a column that
 * is not there also what became of it, in the tables that the model reads, itself or through others.
 */
export function toldProblem(said: string, model: Model, known: Known): string {
  const problem = inOneLine(said);
  const missing = MISSING.map((each) => each.exec(problem)?.[1]).find((name) => name !== undefined);
  if (missing === undefined) return problem;
  const [gone] = tablesBehind(model, known).flatMap((table) => {
    const found = table.dropped.find(({ name }) => isSameName(name, missing));
    return found === undefined ? [] : [{ ...found, table }];
  });
  if (gone === undefined) return problem;
  const { name, table, atMs, now } = gone;
  const what = now === undefined ? 'was dropped' : `was renamed to ${now}`;
  const at = atMs === undefined ? '' : `; seen at ${new Date(atMs).toISOString()}`;
  return `${problem.replace(/\.$/, '')}. ${name} of ${fullName(table)} ${what} at the source${at}`;
}

/** A column's name, without its table's: in DuckDB's words, and in Spark's. */
const MISSING = [
  /column (?:named )?"(?:[^"]*\.)?([^".]+)"/i,
  /with name (?:`[^`]*`\.)*`([^`]+)` cannot be resolved/,
];

function inOneLine(said: string): string {
  return (
    said
      .replace(/^(Binder|Catalog|Parser|Conversion|Invalid Input) Error: /, '')
      // Rows of files are an engine's list of values only to itself.
      .replace(/^Values list "/, 'Table "')
      .replaceAll(/\s*\n\s*/g, ' ')
      .replace(/[.!]? Candidate bindings: (: )?/, '; there is ')
  );
}

/** Its own first. */
function tablesBehind(model: Model, { models, sources }: Known): readonly SourceTable[] {
  const behind = upstream(models, [model.name]);
  const readers = [model, ...models.filter(({ name }) => behind.has(name))];
  const named = readers.flatMap((each) => [...each.sources, ...each.testSources]);
  return named.flatMap((source) => findSource(sources, source) ?? []);
}

/** Engines know of no letter case in names. */
function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
