import { childrenOf, isNode, type SqlNode } from '../models/ast.ts';
import { deciding, type Influence, type Influences, made, united } from './influence.ts';
import {
  firstOf,
  isSame,
  mergedColumn,
  type Names,
  QueryScope,
  type QueryResult,
  type ResultColumn,
  type ScopedRelation,
} from './query-scope.ts';

export type LineageFacts = Readonly<{
  /** Columns of a relation that the query reads; undefined when they are not known. */
  columnsOf: (relation: string) => readonly string[] | undefined;
  /** Names of functions that make one value of many rows. */
  aggregates: ReadonlySet<string>;
}>;

/**
 * Where the columns of a query come from, by what DuckDB's parser makes of it: through aliases,
 * subqueries, common tables, joins, set operations and `*`. What can't be told is left out, as
 * undefined; nothing is guessed.
 */
export function columnLineage(ast: SqlNode, facts: LineageFacts): QueryResult {
  return new Tracer(facts, new Map()).query(ast, new QueryScope([]));
}

const UNKNOWN: QueryResult = { columns: undefined, rows: [] };

type From = Readonly<{
  relations: readonly ScopedRelation[];
  /** Columns that joins have made one. */
  merged: readonly ResultColumn[];
  rows: readonly Influence[];
}>;

class Tracer {
  readonly #facts: LineageFacts;
  /** Common tables, by name in lower case. */
  readonly #common: ReadonlyMap<string, QueryResult>;

  constructor(facts: LineageFacts, common: ReadonlyMap<string, QueryResult>) {
    this.#facts = facts;
    this.#common = common;
  }

  query(node: SqlNode, outer: Names): QueryResult {
    const map: unknown = isNode(node['cte_map']) ? childrenOf(node['cte_map'], 'map') : [];
    const [first, ...rest] = map as readonly SqlNode[];
    if (first !== undefined) {
      const own = this.#commonTable(first, outer);
      const others = { ...node, cte_map: { map: rest } };
      return this.#with(String(first['key']), own).query(others, outer);
    }
    if (node['type'] === 'SELECT_NODE') return this.#select(node, outer);
    if (node['type'] === 'SET_OPERATION_NODE') return this.#setOperation(node, outer);
    if (node['type'] === 'RECURSIVE_CTE_NODE') return this.#recursive(node, outer);
    return UNKNOWN;
  }

  #with(name: string, result: QueryResult): Tracer {
    return new Tracer(this.#facts, new Map([...this.#common, [name.toLowerCase(), result]]));
  }

  #commonTable({ value }: SqlNode, outer: Names): QueryResult {
    if (!isNode(value)) return UNKNOWN;
    return renamed(this.#subquery(value['query'], outer), value['aliases']);
  }

  #subquery(holder: unknown, outer: Names): QueryResult {
    return isNode(holder) && isNode(holder['node']) ? this.query(holder['node'], outer) : UNKNOWN;
  }

  /** Its second part reads what it has made so far, until that brings nothing new. */
  #recursive(node: SqlNode, outer: Names): QueryResult {
    const { left, right, cte_name: name } = node;
    if (!isNode(left) || !isNode(right)) return UNKNOWN;
    let result = renamed(this.query(left, outer), node['aliases']);
    for (;;) {
      const next = this.#with(String(name), result).query(right, outer);
      const both = byPosition(result, next);
      if (sizeOf(both) === sizeOf(result)) return both;
      result = both;
    }
  }

  #setOperation(node: SqlNode, outer: Names): QueryResult {
    const { left, right, setop_type: type } = node;
    if (!isNode(left) || !isNode(right)) return UNKNOWN;
    const [a, b] = [this.query(left, outer), this.query(right, outer)];
    const sorted = this.#sorting(node, new QueryScope([{ name: '', columns: a.columns }]), a);
    const result =
      type === 'UNION_BY_NAME'
        ? byName(a, b)
        : type === 'EXCEPT'
          ? { ...a, rows: both(a.rows, b.rows, decidingRows(b)) }
          : byPosition(a, b);
    return { ...result, rows: both(result.rows, sorted) };
  }

  #select(node: SqlNode, outer: Names): QueryResult {
    const from = this.#from(node['from_table'], outer);
    const scope = new QueryScope(from.relations, from.merged, outer);
    const columns = this.#selectList(childrenOf(node, 'select_list'), scope);
    const result = { columns, rows: [] };
    // Also names that the SELECT gives.
    const given = new QueryScope([{ name: '', columns: columns ?? [] }]);
    const told = (expression: unknown, kind: 'FILTER' | 'GROUP_BY'): readonly Influence[] => {
      const one = this.#positional(expression, result);
      const found = one ?? this.#known(expression, scope) ?? this.#known(expression, given);
      return deciding(found, kind) ?? [];
    };
    return {
      columns,
      rows: both(
        from.rows,
        ...conditionsOf(node['where_clause']).map((each) => told(each, 'FILTER')),
        ...childrenOf(node, 'group_expressions').map((each) => told(each, 'GROUP_BY')),
        ...conditionsOf(node['having']).map((each) => told(each, 'FILTER')),
        ...conditionsOf(node['qualify']).map((each) => told(each, 'FILTER')),
        this.#sorting(node, scope, result),
      ),
    };
  }

  #sorting(node: SqlNode, scope: QueryScope, result: QueryResult): readonly Influence[] {
    const orders = childrenOf(node, 'modifiers').flatMap((modifier) =>
      childrenOf(modifier, 'orders').map(({ expression }) => expression),
    );
    const given = new QueryScope([{ name: '', columns: result.columns ?? [] }]);
    return both(
      ...orders.map((each) => {
        const found =
          this.#positional(each, result) ?? this.#known(each, given) ?? this.#known(each, scope);
        return deciding(found, 'SORT') ?? [];
      }),
    );
  }

  /** `ORDER BY 2`. */
  #positional(expression: unknown, { columns }: QueryResult): Influences {
    if (!isNode(expression) || expression['class'] !== 'CONSTANT') return undefined;
    const value: unknown = isNode(expression['value']) ? expression['value']['value'] : undefined;
    return typeof value === 'number' ? columns?.[value - 1]?.influences : undefined;
  }

  #known(expression: unknown, scope: Names): Influences {
    return isNode(expression) ? this.#expression(expression, scope) : undefined;
  }

  #selectList(items: readonly SqlNode[], scope: QueryScope): readonly ResultColumn[] | undefined {
    const columns: ResultColumn[] = [];
    for (const item of items) {
      if (item['class'] === 'STAR') {
        const all = this.#star(item, scope);
        if (all === undefined) return undefined;
        columns.push(...all);
        continue;
      }
      // A later one may name an earlier one, where no relation has that name.
      const named = new QueryScope([{ name: '', columns }]);
      const own = this.#expression(item, firstOf(scope, named));
      columns.push({ name: nameOf(item), influences: own });
    }
    return columns;
  }

  #star(star: SqlNode, scope: QueryScope): readonly ResultColumn[] | undefined {
    if (star['columns'] === true || isNode(star['expr'])) return undefined;
    const all = scope.all(textOf(star['relation_name']));
    const excluded = [
      ...(Array.isArray(star['exclude_list']) ? star['exclude_list'] : []).map(String),
      ...childrenOf(star, 'qualified_exclude_list').map(({ column }) => String(column)),
    ];
    const replaced = childrenOf(star, 'replace_list');
    const newNames = childrenOf(star, 'rename_list');
    return all
      ?.filter(({ name }) => !excluded.some((each) => isSame(each, name)))
      .map((column) => {
        const own = replaced.find(({ key }) => isSame(String(key), column.name));
        const renaming = newNames.find(
          ({ key }) => isNode(key) && isSame(String(key['column']), column.name),
        );
        return {
          name: renaming === undefined ? column.name : String(renaming['value']),
          influences: own === undefined ? column.influences : this.#known(own['value'], scope),
        };
      });
  }

  #from(node: unknown, outer: Names): From {
    const nothing = { relations: [], merged: [], rows: [] };
    if (!isNode(node) || node['type'] === 'EMPTY') return nothing;
    if (node['type'] === 'JOIN') return this.#join(node, outer);
    const { columns, rows } = this.#relation(node, outer);
    const name = textOf(node['alias']) || textOf(node['table_name']);
    return { relations: [{ name, columns }], merged: [], rows };
  }

  #relation(node: SqlNode, outer: Names): QueryResult {
    const aliases = node['column_name_alias'];
    if (node['type'] === 'SUBQUERY')
      return renamed(this.#subquery(node['subquery'], outer), aliases);
    if (node['type'] === 'EXPRESSION_LIST') return renamed(this.#values(node, outer), aliases);
    if (node['type'] !== 'BASE_TABLE') return UNKNOWN;
    const name = String(node['table_name']);
    const common = node['schema_name'] ? undefined : this.#common.get(name.toLowerCase());
    if (common !== undefined) return renamed(common, aliases);
    const columns = this.#facts.columnsOf(name)?.map((column) => ({
      name: column,
      influences: [{ relation: name, column, kind: 'IDENTITY' as const }],
    }));
    return renamed({ columns, rows: [] }, aliases);
  }

  #values(node: SqlNode, outer: Names): QueryResult {
    const rows = Array.isArray(node['values']) ? (node['values'] as readonly SqlNode[][]) : [];
    const columns = rows[0]?.map((_, index) => ({
      name: `col${index}`,
      influences: united(rows.map((row) => this.#known(row[index], outer))),
    }));
    return { columns, rows: [] };
  }

  #join(node: SqlNode, outer: Names): From {
    const left = this.#from(node['left'], outer);
    // What stands to the right may read what stands to the left.
    const right = this.#from(node['right'], new QueryScope(left.relations, left.merged, outer));
    const type = String(node['join_type']);
    const scope = new QueryScope([...left.relations, ...right.relations], left.merged, outer);
    const [a, b] = [left, right].map((side) => new QueryScope(side.relations, side.merged));
    const names = node['ref_type'] === 'NATURAL' ? commonNames(a, b) : namesUsing(node);
    if (names === undefined)
      return { relations: [{ name: '', columns: undefined }], merged: [], rows: [] };
    const pairs = names.map((name) => {
      const [own, other] = [a?.find([name]), b?.find([name])];
      return [
        { name, influences: own?.influences },
        { name, influences: other?.influences },
      ] as const;
    });
    const condition = deciding(this.#known(node['condition'], scope), 'JOIN') ?? [];
    const using = pairs.flat().map((each) => deciding(each.influences, 'JOIN') ?? []);
    const hidesRight = type === 'SEMI' || type === 'ANTI';
    return {
      relations: hidesRight ? left.relations : [...left.relations, ...right.relations],
      merged: hidesRight
        ? left.merged
        : [...left.merged, ...pairs.map(([own, other]) => mergedColumn(type, own, other))],
      rows: both(left.rows, right.rows, condition, ...using),
    };
  }

  #expression(node: SqlNode, scope: Names): Influences {
    const all = (nodes: readonly unknown[]): Influences =>
      united(nodes.filter(isNode).map((each) => this.#expression(each, scope)));
    switch (node['class']) {
      case 'CONSTANT':
      case 'PARAMETER':
        return [];
      case 'COLUMN_REF':
        return scope.find(node['column_names'] as readonly string[])?.influences;
      case 'FUNCTION':
        return this.#call(node, scope);
      case 'WINDOW':
        return this.#window(node, scope);
      case 'CASE': {
        const checks = childrenOf(node, 'case_checks');
        const when = all(checks.map((check) => check['when_expr']));
        const then = all([...checks.map((check) => check['then_expr']), node['else_expr']]);
        return united([made(then, 'TRANSFORMATION'), deciding(when, 'CONDITIONAL')]);
      }
      case 'CAST':
      case 'COLLATE':
        return made(all([node['child']]), 'TRANSFORMATION');
      case 'COMPARISON':
        return made(all([node['left'], node['right']]), 'TRANSFORMATION');
      case 'BETWEEN':
        return made(all([node['input'], node['lower'], node['upper']]), 'TRANSFORMATION');
      case 'CONJUNCTION':
      case 'OPERATOR':
        return made(all(childrenOf(node, 'children')), 'TRANSFORMATION');
      case 'LAMBDA':
        return this.#lambda(node, scope);
      case 'SUBQUERY':
        return this.#scalar(node, scope);
      default:
        return undefined;
    }
  }

  #call(node: SqlNode, scope: Names): Influences {
    const name = String(node['function_name']).toLowerCase();
    const given = childrenOf(node, 'children').map((each) => this.#expression(each, scope));
    const sorts = isNode(node['order_bys']) ? childrenOf(node['order_bys'], 'orders') : [];
    return united([
      made(united(given), this.#facts.aggregates.has(name) ? 'AGGREGATION' : 'TRANSFORMATION'),
      ...this.#deciding([node['filter']], scope, 'CONDITIONAL'),
      ...this.#deciding(
        sorts.map(({ expression }) => expression),
        scope,
        'SORT',
      ),
    ]);
  }

  #window(node: SqlNode, scope: Names): Influences {
    const { start_expr: start, end_expr: end, offset_expr: offset, default_expr: fallback } = node;
    const name = String(node['function_name']).toLowerCase();
    const given = [...childrenOf(node, 'children'), fallback].filter(isNode);
    const orders = [...childrenOf(node, 'orders'), ...childrenOf(node, 'arg_orders')];
    const around = [
      ...childrenOf(node, 'partitions'),
      ...orders.map(({ expression }) => expression),
      start,
      end,
      offset,
    ];
    const direct = united(given.map((each) => this.#expression(each, scope)));
    return united([
      made(direct, this.#facts.aggregates.has(name) ? 'AGGREGATION' : 'TRANSFORMATION'),
      ...this.#deciding(around, scope, 'WINDOW'),
      ...this.#deciding([node['filter_expr']], scope, 'CONDITIONAL'),
    ]);
  }

  #deciding(
    nodes: readonly unknown[],
    scope: Names,
    kind: 'CONDITIONAL' | 'SORT' | 'WINDOW',
  ): readonly Influences[] {
    return nodes.filter(isNode).map((each) => deciding(this.#expression(each, scope), kind));
  }

  /** Its parameters are values of what else the call is given. */
  #lambda({ lhs, expr }: SqlNode, scope: Names): Influences {
    const names = parametersOf(lhs);
    if (names === undefined || !isNode(expr)) return undefined;
    const parameters = new QueryScope([
      { name: '', columns: names.map((name) => ({ name, influences: [] })) },
    ]);
    return this.#expression(expr, firstOf(parameters, scope));
  }

  #scalar(node: SqlNode, scope: Names): Influences {
    const found = this.#subquery(node['subquery'], scope);
    const { subquery_type: type, child } = node;
    if (type === 'EXISTS' || type === 'NOT_EXISTS') return found.rows;
    const value = found.columns?.[0]?.influences;
    const own = isNode(child) ? made(this.#expression(child, scope), 'TRANSFORMATION') : [];
    const other =
      type === 'SCALAR' ? made(value, 'TRANSFORMATION') : deciding(value, 'CONDITIONAL');
    return united([own, other, found.rows]);
  }
}

/** `AND` at the top: what one side does not tell, the other may. */
function conditionsOf(condition: unknown): readonly SqlNode[] {
  if (!isNode(condition)) return [];
  if (condition['type'] !== 'CONJUNCTION_AND') return [condition];
  return childrenOf(condition, 'children').flatMap(conditionsOf);
}

function nameOf(item: SqlNode): string {
  if (item['alias']) return textOf(item['alias']);
  const names = item['column_names'];
  return Array.isArray(names) ? String(names.at(-1)) : '';
}

function renamed(result: QueryResult, aliases: unknown): QueryResult {
  if (!Array.isArray(aliases) || aliases.length === 0) return result;
  const columns = result.columns?.map((column, index) => ({
    ...column,
    name: String(aliases[index] ?? column.name),
  }));
  return { ...result, columns };
}

function byPosition(a: QueryResult, b: QueryResult): QueryResult {
  const columns =
    a.columns?.length === b.columns?.length
      ? a.columns?.map(({ name, influences }, index) => ({
          name,
          influences: united([influences, b.columns?.[index]?.influences]),
        }))
      : undefined;
  return { columns, rows: both(a.rows, b.rows) };
}

function byName(a: QueryResult, b: QueryResult): QueryResult {
  const rows = both(a.rows, b.rows);
  if (a.columns === undefined || b.columns === undefined) return { columns: undefined, rows };
  const others = b.columns;
  const isIn = (columns: readonly ResultColumn[], name: string): boolean =>
    columns.some((each) => isSame(each.name, name));
  const shared = a.columns.map(({ name, influences }) => {
    const other = others.find((each) => isSame(each.name, name));
    return { name, influences: united([influences, other === undefined ? [] : other.influences]) };
  });
  return { columns: [...shared, ...others.filter(({ name }) => !isIn(shared, name))], rows };
}

/** All rows of it decide, as with EXCEPT. */
function decidingRows({ columns = [] }: QueryResult): readonly Influence[] {
  return columns.flatMap(({ influences }) => deciding(influences, 'FILTER') ?? []);
}

function both(...parts: readonly (readonly Influence[])[]): readonly Influence[] {
  return united(parts) ?? [];
}

function commonNames(
  a: QueryScope | undefined,
  b: QueryScope | undefined,
): readonly string[] | undefined {
  const [own, others] = [a?.all(''), b?.all('')];
  if (own === undefined || others === undefined) return undefined;
  return own
    .map(({ name }) => name)
    .filter((name) => others.some((each) => isSame(each.name, name)));
}

function namesUsing({ using_columns: names }: SqlNode): readonly string[] {
  return Array.isArray(names) ? names.map(String) : [];
}

/** `x` or `(x, y)`. */
function parametersOf(lhs: unknown): readonly string[] | undefined {
  if (!isNode(lhs)) return undefined;
  if (lhs['class'] === 'COLUMN_REF') return (lhs['column_names'] as readonly string[]).slice(-1);
  const parts = childrenOf(lhs, 'children').map(parametersOf);
  return parts.includes(undefined) ? undefined : parts.flatMap((part) => part ?? []);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function sizeOf({ columns = [], rows }: QueryResult): number {
  return columns.reduce((sum, { influences = [] }) => sum + influences.length, rows.length);
}
