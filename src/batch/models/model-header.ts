import { MATERIALIZATIONS, type ModelHeader, type ServedModel } from './model.ts';
import { nameTests, readColumnTests, readModelTests } from './model-tests.ts';
import { parseReference } from './template.ts';
import type { YamlValue } from './yaml-value.ts';

/** A model's header without any line. As in dbt, a model is a view unless it says so. */
export const EMPTY_HEADER: ModelHeader = {
  materialization: 'view',
  tags: [],
  columns: {},
  tests: [],
  serve: [],
  dialect: 'portable',
};

const KEYS = [
  'materialization',
  'tags',
  'owner',
  'description',
  'columns',
  'tests',
  'serve',
  'incremental',
  'dialect',
] as const;

/** Reads a header's YAML. What is wrong with it goes to the value's problems, and is left out here. */
export function readHeader(model: string, value: YamlValue): ModelHeader {
  const entries = value.entries(KEYS);
  const at = (key: (typeof KEYS)[number]) => entries.get(key);
  const kept = at('materialization')?.oneOf(MATERIALIZATIONS);
  const materialization = kept ?? 'view';
  const owner = at('owner')?.text();
  const description = at('description')?.text();
  const incremental = at('incremental');
  const columns = readColumns(at('columns'));
  const modelTests = at('tests');
  const drafts = [
    ...columns.flatMap(({ tests }) => tests),
    ...(modelTests === undefined ? [] : readModelTests(modelTests)),
  ];
  const header: ModelHeader = {
    materialization,
    tags: at('tags')?.texts() ?? [],
    ...(owner === undefined ? {} : { owner }),
    ...(description === undefined ? {} : { description: description.trim() }),
    columns: Object.fromEntries(columns.map(({ name, about }) => [name, about])),
    tests: nameTests(model, drafts, (line, text) => value.problem(text, line)),
    serve: readServed(at('serve')),
    ...readIncremental(incremental, materialization),
    dialect: at('dialect')?.oneOf(['portable', 'duckdb']) ?? 'portable',
  };
  // A misspelt one has been told, and what goes with it is not known.
  if (kept === undefined && entries.has('materialization')) return header;
  refuseMismatch(header, entries, value);
  return header;
}

function readColumns(value: YamlValue | undefined) {
  return [...(value?.entries() ?? [])].map(([name, column]) => {
    const entries = column.entries(['description', 'tests']);
    const description = entries.get('description')?.text();
    const tests = entries.get('tests');
    return {
      name,
      about: {
        ...(description === undefined ? {} : { description: description.trim() }),
        line: column.line,
      },
      tests: tests === undefined ? [] : readColumnTests(name, tests),
    };
  });
}

/** Rows of a served value, unless the header says how many. */
const SERVED_ROWS = 1000;

function readServed(value: YamlValue | undefined): readonly ServedModel[] {
  return (value?.list() ?? []).flatMap((item): ServedModel[] => {
    const entries = item.entries(['key', 'expires', 'limit']);
    const keyValue = entries.get('key');
    if (keyValue === undefined) item.problem('expected a key in each item of the list');
    const key = keyValue?.text();
    const expiresSeconds = entries.get('expires')?.duration();
    const limit = entries.get('limit')?.wholeNumber() ?? SERVED_ROWS;
    if (key === undefined) return [];
    const unknown = key.replaceAll(/\{(run_time|run_number)\}/g, '').match(/\{[^{}]*\}?|\}/)?.[0];
    if (unknown !== undefined)
      keyValue?.problem(`${unknown} is not known; expected {run_time} or {run_number}`);
    else if (key.includes('{') && !entries.has('expires'))
      item.problem(
        `${key} is another one in each run, and none would ever go: say when it \`expires\``,
      );
    return [
      { key, ...(expiresSeconds === undefined ? {} : { expiresSeconds }), limit, line: item.line },
    ];
  });
}

function readIncremental(
  value: YamlValue | undefined,
  materialization: ModelHeader['materialization'],
): Pick<ModelHeader, 'incremental'> {
  if (value === undefined) return {};
  const entries = value.entries(['column', 'grain', 'affected_by']);
  const column = entries.get('column')?.text();
  const grain = entries.get('grain')?.oneOf(['hour', 'day', 'month']);
  const affectedBy = new Map<string, string>();
  for (const [source, its] of entries.get('affected_by')?.entries() ?? []) {
    const name = its.text();
    // As the SQL may have it, source('s', 't') among the forms.
    const reference = parseReference(source);
    const named = reference !== undefined && 'source' in reference ? reference.source : source;
    if (name !== undefined) affectedBy.set(named, name);
  }
  if (column === undefined || affectedBy.size === 0)
    return value.problem('expected a column, and affected_by with the column of each source') ?? {};
  const isByTime = materialization === 'incremental_by_time_range';
  if (grain !== undefined && !isByTime)
    entries.get('grain')?.problem('is for incremental_by_time_range alone');
  return {
    incremental: {
      column,
      ...(isByTime ? { grain: grain ?? 'day' } : {}),
      affectedBy: Object.fromEntries(affectedBy),
      line: value.line,
    },
  };
}

function refuseMismatch(
  { materialization }: ModelHeader,
  entries: ReadonlyMap<string, YamlValue>,
  value: YamlValue,
): void {
  const isIncremental = materialization.startsWith('incremental');
  if (isIncremental && !entries.has('incremental'))
    value.problem(
      `${materialization} needs \`incremental: { column: …, affected_by: { table: column } }\``,
    );
  if (!isIncremental && entries.has('incremental'))
    entries.get('incremental')?.problem(`without effect in a ${materialization}`);
  if (materialization === 'view' && entries.has('serve'))
    entries.get('serve')?.problem('a view keeps no rows that could be served: make it a table');
}
