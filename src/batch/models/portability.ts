import type { SqlColumn, SqlEngine } from '../../ports/sql-engine.ts';
import {
  childrenOf,
  isNode,
  lineAt,
  locationOf,
  nodesOf,
  parseSelect,
  type SqlNode,
} from './ast.ts';
import { aggregateArgument, BoundTypes } from './bound-types.ts';
import type { Model } from './model.ts';
import { resultFindings } from './portable-results.ts';
import {
  castType,
  functionForm,
  intervalConstant,
  nameOf,
  type Place,
  PORTABLE_RULES,
} from './portable-rules.ts';
import { textFindings } from './portable-text.ts';
import type { Problem } from './problem.ts';

/** Something to write otherwise, and where it stands in the SQL, in bytes. */
export type Finding = Readonly<{ location: number; construct: string; form: string; why: string }>;

/** SQL that binds. */
type Bound = Readonly<{
  /** Its file and its first line. */
  place: Pick<Model, 'file' | 'line'>;
  sql: string;
  /** What it gives and a model keeps. */
  columns: readonly SqlColumn[];
  /** Columns of the relations that it reads. */
  inputs: readonly SqlColumn[];
}>;

/**
 * Finds what of a query DuckDB and Spark do not agree on, as far as that can be told: by the rules,
 * with the types that DuckDB binds; each with the form that both understand.
 */
export async function portabilityProblems(
  engine: SqlEngine,
  { place, sql, columns, inputs }: Bound,
): Promise<Readonly<{ problems: readonly Problem[]; warnings: readonly Problem[] }>> {
  const parsed = await parseSelect(engine, sql);
  if ('problem' in parsed) throw new Error('bug: it was parsed before');
  const types = await BoundTypes.of(engine, sql);
  const bytes = Buffer.from(sql);
  const isInput = inputsOf(parsed.ast, inputs);
  const findings: Finding[] = [...textFindings(sql), ...resultFindings(parsed.ast, columns)];
  const warned: Finding[] = [];
  for (const { node, location } of placesOf(parsed.ast)) {
    const written = bytes.subarray(location).toString();
    findings.push(...ruleFindings({ node, location, written, types, isInput }));
    if (isAverage(node) && (await isOfDecimal(engine, sql, { node, location })))
      findings.push({ ...AVERAGE, location });
    if (isGlobalRank(node)) warned.push({ ...GLOBAL_RANK, location });
  }
  const toProblem = ({ location, construct, form, why }: Finding): Problem => ({
    file: place.file,
    line: place.line + lineAt(sql, location) - 1,
    text: `${construct}: write ${form} (${why})`,
  });
  return { problems: findings.map(toProblem), warnings: warned.map(toProblem) };
}

function inputsOf(ast: SqlNode, columns: readonly SqlColumn[]): Place['isInput'] {
  const read = new Set(columns.map(({ name }) => name.toLowerCase()));
  const givers = new Map<string, Set<SqlNode>>();
  for (const node of nodesOf(ast)) {
    for (const { alias } of childrenOf(node, 'select_list')) {
      const name = String(alias).toLowerCase();
      givers.set(name, (givers.get(name) ?? new Set()).add(node));
    }
    // Names after a subquery or a common table: `AS q(a, b)`.
    for (const name of [node['column_name_alias'], node['aliases']].flat())
      if (typeof name === 'string') read.add(name.toLowerCase());
  }
  return (name, select) =>
    read.has(name) || [...(givers.get(name) ?? [])].some((giver) => giver !== select);
}

function ruleFindings(place: Place): readonly Finding[] {
  return PORTABLE_RULES.flatMap((rule) => {
    const found = rule.finds(place);
    if (found === undefined) return [];
    return {
      location: place.location,
      construct: found === true ? rule.construct : found,
      form: functionForm(place.node) ?? rule.form,
      why: rule.why,
    };
  });
}

export const AVERAGE = {
  construct: 'AVG of a decimal',
  form: 'CAST(SUM(d) AS DOUBLE) / NULLIF(COUNT(d), 0)',
  why: 'it is a double in DuckDB and a rounded decimal in Spark',
};

export const GLOBAL_RANK = {
  construct: 'a rank over all rows',
  form: 'a CROSS JOIN with cut-offs by percentile_disc, where these are many',
  why: 'Spark ranks them on one core',
};

function isAverage(node: SqlNode): boolean {
  return /^(FUNCTION|WINDOW)$/.test(String(node['class'])) && nameOf(node) === 'avg';
}

async function isOfDecimal(
  engine: SqlEngine,
  sql: string,
  { node, location }: Pick<Place, 'node' | 'location'>,
): Promise<boolean> {
  const [argument] = childrenOf(node, 'children');
  const written = argument === undefined ? undefined : castType(argument);
  const type = written ?? (await aggregateArgument(engine, sql, { name: 'avg', location }));
  return type === 'DECIMAL';
}

function isGlobalRank(node: SqlNode): boolean {
  const { partitions } = node;
  return (
    /^(row_number|rank|dense_rank|percent_rank|cume_dist|ntile)$/.test(nameOf(node)) &&
    Array.isArray(partitions) &&
    partitions.length === 0
  );
}

/** Each node with where it stands; else where what it is part of does, or its own first part. */
function* placesOf(root: SqlNode): Generator<Readonly<{ node: SqlNode; location: number }>> {
  const stack: { value: unknown; location: number }[] = [{ value: root, location: 0 }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { value } = next;
    if (Array.isArray(value)) {
      for (const each of value.toReversed()) stack.push({ value: each, location: next.location });
      continue;
    }
    if (!isNode(value)) continue;
    const location = locationOf(value) ?? firstPart(value) ?? next.location;
    yield { node: value, location };
    for (const each of partsOf(value).toReversed()) stack.push({ value: each, location });
  }
}

function partsOf(node: SqlNode): readonly unknown[] {
  // What the parser makes of an interval is not what was written.
  if (intervalConstant(node) !== undefined) return [];
  // The order of percentiles is not one of rows: nulls have no part in it.
  if (nameOf(node) === 'quantile_disc' && isNode(node['order_bys']))
    return [
      node['children'],
      childrenOf(node['order_bys'], 'orders').map(({ expression }) => expression),
    ];
  return Object.values(node);
}

function firstPart(node: SqlNode): number | undefined {
  const parts = Object.values(node).flatMap((value) => (Array.isArray(value) ? value : [value]));
  const locations = parts.flatMap((part) => (isNode(part) ? (locationOf(part) ?? []) : []));
  return locations.length === 0 ? undefined : Math.min(...locations);
}
