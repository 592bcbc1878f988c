import type { SqlEngine } from '../../ports/sql-engine.ts';
import { childrenOf, isNode, locationOf, nodesOf, type SqlNode } from './ast.ts';

/**
 * The types of what stands in a query, as DuckDB binds it; by the place in the text, in bytes.
 * Where the plan can't be told, nothing is known.
 */
export class BoundTypes {
  readonly #calls = new Map<string, readonly string[]>();
  readonly #casts = new Map<string, string>();
  /** By type of the key: windows whose frame is a range. */
  readonly rangeKeys: ReadonlySet<string>;

  private constructor(plan: unknown) {
    const rangeKeys = new Set<string>();
    for (const node of nodesOf(plan)) {
      const at = locationOf(node);
      if (node['expression_class'] === 'BOUND_FUNCTION' && at !== undefined)
        this.#calls.set(`${at} ${text(node['name'])}`, childrenOf(node, 'children').map(ownType));
      if (node['expression_class'] === 'BOUND_CAST' && at !== undefined) {
        const { child } = node;
        if (isNode(child) && child['expression_class'] !== 'BOUND_CONSTANT')
          this.#casts.set(`${at} ${typeId(node['return_type'])}`, ownType(child));
      }
      if (node['expression_class'] === 'BOUND_WINDOW' && isRange(node))
        for (const { expression } of childrenOf(node, 'orders'))
          if (isNode(expression)) rangeKeys.add(ownType(expression));
    }
    this.rangeKeys = rangeKeys;
  }

  static async of(engine: SqlEngine, sql: string): Promise<BoundTypes> {
    return new BoundTypes(await planOf(engine, sql));
  }

  /** Types of the arguments, before they are made alike; undefined where nothing is known. */
  argumentsOf(name: string, location: number): readonly string[] | undefined {
    return this.#calls.get(`${location} ${name}`);
  }

  /** What is cast to a type at a place; undefined of constants, and where nothing is known. */
  castFrom(to: string, location: number): string | undefined {
    return this.#casts.get(`${location} ${to}`);
  }
}

/**
 * The type of an aggregate's argument, which a plan tells without its place: so the function there
 * is exchanged for one that takes all types and that nobody else uses.
 */
export async function aggregateArgument(
  engine: SqlEngine,
  sql: string,
  { name, location }: Readonly<{ name: string; location: number }>,
): Promise<string | undefined> {
  const bytes = Buffer.from(sql);
  const end = location + Buffer.byteLength(name);
  if (bytes.subarray(location, end).toString().toLowerCase() !== name) return undefined;
  const probe = 'arbitrary';
  const exchanged = Buffer.concat([
    bytes.subarray(0, location),
    Buffer.from(probe),
    bytes.subarray(end),
  ]);
  for (const node of nodesOf(await planOf(engine, exchanged.toString())))
    if (node['name'] === probe) return childrenOf(node, 'children').map(ownType)[0];
  return undefined;
}

async function planOf(engine: SqlEngine, sql: string): Promise<unknown> {
  const { rows } = await engine.query('SELECT json_serialize_plan($1::VARCHAR)', [sql]);
  return JSON.parse(rows[0]?.[0] as string);
}

/** Not that which an argument is made for the function. */
function ownType(node: SqlNode): string {
  if (node['expression_class'] === 'BOUND_CAST' && isNode(node['child']))
    return ownType(node['child']);
  if (node['expression_class'] === 'BOUND_CONSTANT' && isNode(node['value']))
    return typeId(node['value']['type']);
  return typeId(node['return_type']);
}

function typeId(type: unknown): string {
  return isNode(type) ? text(type['id']) : '';
}

function isRange(window: SqlNode): boolean {
  return [window['start'], window['end']].some((edge) => /^EXPR_.*_RANGE$/.test(text(edge)));
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
