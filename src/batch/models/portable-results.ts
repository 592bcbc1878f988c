import type { SqlColumn } from '../../ports/sql-engine.ts';
import { childrenOf, isNode, locationOf, nodesOf, type SqlNode } from './ast.ts';
import type { Finding } from './portability.ts';
import { WIDTHS } from './portable-functions.ts';
import { nameOf } from './portable-rules.ts';

/** What a model keeps must have one type, whichever engine makes it. */
export const RESULT_RULES = {
  decimal: {
    construct: 'a computed decimal',
    why: 'the engines give it another precision',
    form: 'CAST(… AS DECIMAL(18, 2))',
  },
  width: {
    construct: 'a rank, a part of a date or a length',
    why: 'it is of another width in Spark',
    form: 'CAST(… AS BIGINT)',
  },
  null: {
    construct: 'a null without a type',
    why: 'Spark keeps none',
    form: 'CAST(NULL AS INTEGER)',
  },
} as const;

type Loose = Omit<Finding, 'location'>;

/** Columns of the result whose type would depend on the engine. */
export function resultFindings(ast: SqlNode, columns: readonly SqlColumn[]): readonly Finding[] {
  if (columns.length === 0) return [];
  const tops = topSelects(ast);
  const inner = innerItems(ast, new Set(tops));
  return tops.flatMap((top) => {
    const list = childrenOf(top, 'select_list');
    const hasStar = list.some((item) => item['class'] === 'STAR');
    return columns.flatMap((column, index) => {
      const item = hasStar ? itemNamed(list, column.name) : list[index];
      // What only hands a column on is what that was within.
      const handed = item === undefined ? column.name.toLowerCase() : referenceOf(item);
      const origin = handed === undefined ? item : inner.get(handed);
      const loose = origin === undefined ? undefined : looseness(origin, column);
      if (origin === undefined || loose === undefined) return [];
      const { construct, form, why } = loose;
      return {
        location: locationOf(origin) ?? 0,
        construct: `column ${column.name}, ${construct}`,
        form: `${form} AS ${column.name}`,
        why,
      };
    });
  });
}

/** The SELECTs whose rows are the result; several of a UNION. */
function topSelects(node: SqlNode): readonly SqlNode[] {
  if (node['type'] === 'SELECT_NODE') return [node];
  return [node['left'], node['right'], ...childrenOf(node, 'children')]
    .filter(isNode)
    .flatMap(topSelects);
}

/** By the name in lower case: columns of inner SELECTs, which outer ones may hand on. */
function innerItems(ast: SqlNode, tops: ReadonlySet<SqlNode>): ReadonlyMap<string, SqlNode> {
  const found = new Map<string, SqlNode>();
  for (const node of nodesOf(ast)) {
    if (node['type'] !== 'SELECT_NODE' || tops.has(node)) continue;
    for (const item of childrenOf(node, 'select_list')) {
      const { alias } = item;
      if (typeof alias === 'string' && alias !== '') found.set(alias.toLowerCase(), item);
    }
  }
  return found;
}

function itemNamed(list: readonly SqlNode[], name: string): SqlNode | undefined {
  const lower = name.toLowerCase();
  return list.find(
    (item) =>
      item['class'] !== 'STAR' &&
      (String(item['alias']).toLowerCase() === lower || referenceOf(item) === lower),
  );
}

function referenceOf(item: SqlNode): string | undefined {
  const names = item['class'] === 'COLUMN_REF' ? item['column_names'] : undefined;
  const last: unknown = Array.isArray(names) ? names.at(-1) : undefined;
  return typeof last === 'string' ? last.toLowerCase() : undefined;
}

function looseness(item: SqlNode, { type }: SqlColumn): Loose | undefined {
  const { value } = item;
  if (item['class'] === 'CONSTANT' && isNode(value) && value['is_null'] === true)
    return RESULT_RULES.null;
  if (type.startsWith('DECIMAL') && isComputed(item)) return RESULT_RULES.decimal;
  const width = widthOf(item);
  return width === undefined ? undefined : { ...RESULT_RULES.width, form: `CAST(… AS ${width})` };
}

/** Through arithmetic, not below a cast. */
function isComputed(node: SqlNode): boolean {
  if (/^([-+*%]|sum|mod|round|floor|ceil|ceiling|abs)$/.test(nameOf(node))) return true;
  if (!HANDS_ON.test(nameOf(node)) && node['type'] !== 'OPERATOR_COALESCE') return false;
  return childrenOf(node, 'children').some(isComputed);
}

/** Through what hands a number on as it is. */
function widthOf(node: SqlNode): string | undefined {
  const name = nameOf(node);
  if (Object.hasOwn(WIDTHS, name)) return WIDTHS[name];
  if (node['type'] === 'GROUPING_FUNCTION') return 'INTEGER';
  if (!HANDS_ON.test(name) && node['type'] !== 'OPERATOR_COALESCE') return undefined;
  return childrenOf(node, 'children')
    .map(widthOf)
    .find((width) => width !== undefined);
}

const HANDS_ON =
  /^([-+*]|greatest|least|min|max|lag|lead|min_by|max_by|nullif|first_value|last_value)$/;
