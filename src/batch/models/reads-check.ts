import {
  isNode,
  lineAt,
  locationOf,
  nodesOf,
  type SqlNode,
  type SqlProblem,
  tablesRead,
} from './ast.ts';
import { sqlIdentifier } from './literal.ts';
import { findSource, type SourceTable } from './source-table.ts';

type Known = Readonly<{
  /** Quoted names of what `ref` and `source` stand for in this SQL. */
  allowed: ReadonlySet<string>;
  isModel(name: string): boolean;
  sources: readonly SourceTable[];
}>;

/** What SQL reads past `ref` and `source`, which alone are there when models run. */
export function readProblems(sql: string, ast: SqlNode, known: Known): readonly SqlProblem[] {
  const tables = tablesRead(ast).flatMap(({ schema, name, location }) => {
    if (schema === '' && known.allowed.has(sqlIdentifier(name))) return [];
    const problem = pastReference(schema === '' ? name : `${schema}.${name}`, known);
    return { problem, line: lineAt(sql, location) };
  });
  const functions = [...nodesOf(ast)].flatMap((node) => {
    const call = node['type'] === 'TABLE_FUNCTION' ? node['function'] : undefined;
    if (!isNode(call)) return [];
    const name = String(call['function_name']);
    if (OF_ARGUMENTS.has(name)) return [];
    return {
      problem: `${name}(…) is not for models, which read {{ ref('model') }} and {{ source('table') }} alone`,
      line: lineAt(sql, locationOf(node) ?? 0),
    };
  });
  return [...tables, ...functions];
}

/** Functions that make rows of their arguments alone. */
const OF_ARGUMENTS: ReadonlySet<string> = new Set(['unnest', 'range', 'generate_series']);

function pastReference(name: string, { isModel, sources }: Known): string {
  if (isModel(name)) return `reads ${name} past its reference: write {{ ref('${name}') }}`;
  if (findSource(sources, name) !== undefined)
    return `reads ${name} past its reference: write {{ source('${name}') }}`;
  return `there is no ${name}: models are read as {{ ref('model') }}, tables as {{ source('table') }}`;
}
