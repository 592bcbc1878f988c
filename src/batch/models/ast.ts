import type { SqlEngine } from '../../ports/sql-engine.ts';
import { must } from '../../lib/must.ts';

/** A node of what DuckDB's parser makes of SQL; `query_location` is where it stands, in bytes. */
export type SqlNode = Readonly<Record<string, unknown>>;

/** What is wrong with SQL, at its line, from 1. */
export type SqlProblem = Readonly<{ problem: string; line: number }>;

/** Parses one SELECT. It need not make sense: nothing that it names is looked up. */
export async function parseSelect(
  engine: SqlEngine,
  sql: string,
): Promise<Readonly<{ ast: SqlNode }> | SqlProblem> {
  const { rows } = await engine.query('SELECT json_serialize_sql($1::VARCHAR)', [sql]);
  const parsed = JSON.parse(rows[0]?.[0] as string) as Parsed;
  if (parsed.error) {
    const isOther = parsed.error_type === 'not implemented';
    const problem = isOther
      ? 'expected one SELECT, found another statement'
      : String(parsed.error_message);
    // The end of the input is where its last word ends.
    const end = Buffer.byteLength(sql.trimEnd());
    const at = Math.min(Number(parsed.position ?? firstWord(sql)), end);
    return { problem, line: lineAt(sql, at) };
  }
  const [statement, another] = parsed.statements;
  if (statement === undefined) return { problem: 'expected one SELECT, found nothing', line: 1 };
  if (another !== undefined)
    return {
      problem: `expected one SELECT, found ${parsed.statements.length} statements`,
      line: lineAt(sql, firstLocation(another)),
    };
  return { ast: statement.node };
}

type Parsed =
  | Readonly<{ error: true; error_type: string; error_message: string; position?: string }>
  | Readonly<{ error: false; statements: readonly Readonly<{ node: SqlNode }>[] }>;

/** Every node below and with this one, those nearer to the root first. */
export function* nodesOf(root: unknown): Generator<SqlNode> {
  const stack: unknown[] = [root];
  while (stack.length > 0) {
    const value = stack.pop();
    if (Array.isArray(value)) stack.push(...value.toReversed());
    else if (isNode(value)) {
      yield value;
      stack.push(...Object.values(value).toReversed());
    }
  }
}

export function isNode(value: unknown): value is SqlNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The nodes that stand in a field of a list. */
export function childrenOf(node: SqlNode, field: string): readonly SqlNode[] {
  const value = node[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** Where a node stands in the SQL, in bytes; undefined of those that stand for nothing written. */
export function locationOf({ query_location: at }: SqlNode): number | undefined {
  return typeof at === 'number' && at < Number.MAX_SAFE_INTEGER ? at : undefined;
}

/** Of a place in bytes, from 1. */
export function lineAt(sql: string, location: number): number {
  const before = Buffer.from(sql).subarray(0, location).toString();
  return before.split('\n').length;
}

/** Names of tables that a query reads, where they stand; its own common tables are none. */
export function tablesRead(
  ast: SqlNode,
): readonly Readonly<{ schema: string; name: string; location: number }>[] {
  const own = new Set<unknown>();
  for (const node of nodesOf(ast))
    if (isNode(node['cte_map']))
      for (const { key } of childrenOf(node['cte_map'], 'map')) own.add(key);
  const found: { schema: string; name: string; location: number }[] = [];
  for (const node of nodesOf(ast)) {
    if (node['type'] !== 'BASE_TABLE') continue;
    const [schema, name] = [String(node['schema_name']), String(node['table_name'])];
    if (schema !== '' || !own.has(name))
      found.push({ schema, name, location: locationOf(node) ?? 0 });
  }
  return found;
}

/** The line of the first word that is no comment. */
export function firstWordLine(sql: string): number {
  return lineAt(sql, firstWord(sql));
}

function firstLocation(root: SqlNode): number {
  const locations = [...nodesOf(root)].flatMap((node) => locationOf(node) ?? []);
  return Math.min(...locations, Number.MAX_SAFE_INTEGER);
}

function firstWord(sql: string): number {
  const blank = must(/^(\s|--[^\n]*|\/\*[^]*?\*\/)*/.exec(sql)?.[0], 'it matches nothing too');
  return Buffer.byteLength(blank);
}
