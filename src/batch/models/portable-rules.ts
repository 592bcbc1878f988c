import { childrenOf, isNode, type SqlNode } from './ast.ts';
import type { BoundTypes } from './bound-types.ts';
import { FORMS, PORTABLE_FUNCTIONS } from './portable-functions.ts';

/** What a rule is asked about. */
export type Place = Readonly<{
  node: SqlNode;
  /** Of the node, in bytes. */
  location: number;
  /** What the SQL says from there on. */
  written: string;
  types: BoundTypes;
  /** Whether a SELECT may read a column of this name, in lower case, from a relation or from another SELECT. */
  isInput(name: string, select: SqlNode): boolean;
}>;

/** Something that DuckDB and Spark do not agree on. */
export type PortableRule = Readonly<{
  construct: string;
  /** What would happen. */
  why: string;
  /** What both understand alike. */
  form: string;
  /** What of it is there, where that is more than the construct's name says; `true` for just that. */
  finds(place: Place): true | string | undefined;
}>;

/** What of SQL's syntax, functions and types is not for models of the portable dialect. */
export const PORTABLE_RULES: readonly PortableRule[] = [
  {
    construct: 'QUALIFY',
    why: 'Spark 3 does not know it',
    form: 'a WHERE around a subquery',
    finds: ({ node }) => is(isNode(node['qualify'])),
  },
  {
    construct: 'WITH RECURSIVE',
    why: 'Spark 3 does not know it',
    form: 'a model a level, or dialect: duckdb',
    finds: ({ node }) => is(node['type'] === 'RECURSIVE_CTE_NODE'),
  },
  {
    construct: 'SELECT DISTINCT ON',
    why: 'Spark does not know it',
    form: 'ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) = 1 around a subquery',
    finds: ({ node }) => is(childrenOf(node, 'distinct_on_targets').length > 0),
  },
  {
    construct: 'SELECT * EXCLUDE, REPLACE, RENAME or COLUMNS',
    why: 'Spark does not know it',
    form: 'the columns one by one',
    finds: ({ node }) =>
      is(
        node['class'] === 'STAR' &&
          (node['columns'] === true ||
            ['exclude_list', 'qualified_exclude_list', 'replace_list', 'rename_list'].some(
              (field) => Array.isArray(node[field]) && node[field].length > 0,
            )),
      ),
  },
  {
    construct: 'a sample',
    why: 'every run would find other rows',
    form: 'a condition on a key',
    finds: ({ node }) => is(isNode(node['sample'])),
  },
  {
    construct: 'a name that the SELECT gives, in its WHERE',
    why: 'Spark knows columns alone there',
    form: 'the expression once more, or a WHERE around a subquery',
    finds: ({ node, isInput }) => {
      const given = new Set(
        childrenOf(node, 'select_list')
          .filter((item) => item['class'] !== 'COLUMN_REF')
          .map((item) => String(item['alias']).toLowerCase()),
      );
      const name = namesUsed(node['where_clause']).find((each) => given.has(each));
      return name === undefined || isInput(name, node)
        ? undefined
        : `${name}, which the SELECT gives, in its WHERE`;
    },
  },
  {
    construct: 'LIMIT without ORDER BY',
    why: 'every run would find other rows',
    form: 'ORDER BY a unique key',
    finds: ({ node }) => {
      const types = childrenOf(node, 'modifiers').map((modifier) => String(modifier['type']));
      return is(
        types.some((type) => type.startsWith('LIMIT')) && !types.includes('ORDER_MODIFIER'),
      );
    },
  },
  {
    construct: 'LIMIT of a percentage',
    why: 'Spark does not know it',
    form: 'a cut-off by percentile_disc',
    finds: ({ node }) => is(node['type'] === 'LIMIT_PERCENT_MODIFIER'),
  },
  {
    construct: 'an ASOF, POSITIONAL or NATURAL JOIN',
    why: 'Spark does not know them all, and a natural one changes with the columns',
    form: 'JOIN … ON',
    finds: ({ node }) =>
      node['type'] === 'JOIN' && /^(ASOF|POSITIONAL|NATURAL)$/.test(String(node['ref_type']))
        ? `a ${String(node['ref_type'])} JOIN`
        : undefined,
  },
  {
    construct: 'a SEMI or ANTI JOIN',
    why: 'it is of few engines',
    form: 'WHERE EXISTS (…) or WHERE NOT EXISTS (…)',
    finds: ({ node }) =>
      node['type'] === 'JOIN' && /^(SEMI|ANTI)$/.test(String(node['join_type']))
        ? `a ${String(node['join_type'])} JOIN`
        : undefined,
  },
  {
    construct: 'NOT IN (SELECT …)',
    why: 'one null in it, and no row is found',
    form: 'NOT EXISTS (SELECT …)',
    finds: ({ node }) =>
      is(
        node['type'] === 'OPERATOR_NOT' &&
          childrenOf(node, 'children').some(
            (child) => child['class'] === 'SUBQUERY' && child['subquery_type'] === 'ANY',
          ),
      ),
  },
  {
    construct: 'UNION BY NAME',
    why: 'Spark does not know it',
    form: 'UNION ALL with the columns in one order',
    finds: ({ node }) => is(node['setop_type'] === 'UNION_BY_NAME'),
  },
  {
    construct: 'a table function',
    why: 'Spark has others',
    form: 'VALUES, a source, or dialect: duckdb',
    finds: ({ node }) => is(node['type'] === 'TABLE_FUNCTION'),
  },
  {
    construct: 'ORDER BY ascending without NULLS',
    why: 'nulls come last in DuckDB and first in Spark',
    form: 'NULLS LAST or NULLS FIRST',
    finds: ({ node }) =>
      is(
        /^(ORDER_DEFAULT|ASCENDING)$/.test(String(node['type'])) &&
          node['null_order'] === 'ORDER_DEFAULT',
      ),
  },
  {
    construct: 'ORDER BY in an aggregate',
    why: 'Spark does not know it',
    form: 'min_by(x, order), max_by(x, order) or a window',
    finds: ({ node }) =>
      is(
        node['class'] === 'FUNCTION' &&
          !nameOf(node).startsWith('quantile') &&
          isNode(node['order_bys']) &&
          childrenOf(node['order_bys'], 'orders').length > 0,
      ),
  },
  {
    construct: 'percentile_disc over anything but doubles',
    why: 'decimals are refused or compared otherwise in Spark',
    form: 'percentile_disc(p) WITHIN GROUP (ORDER BY CAST(x AS DOUBLE))',
    finds: ({ node }) => {
      if (node['class'] !== 'FUNCTION' || nameOf(node) !== 'quantile_disc') return undefined;
      const orders = isNode(node['order_bys']) ? childrenOf(node['order_bys'], 'orders') : [];
      if (orders.length === 0) return 'quantile_disc(x, p)';
      return is(
        orders.some(({ expression }) => !isNode(expression) || castType(expression) !== 'DOUBLE'),
      );
    },
  },
  {
    construct: 'COUNT(DISTINCT …) of several columns',
    why: 'Spark leaves out rows with a null in COUNT(DISTINCT a, b), which looks the same',
    form: 'COUNT(*) over a SELECT DISTINCT',
    finds: ({ node }) => {
      const children = childrenOf(node, 'children');
      const isOfRow = children.length > 1 || children.some((child) => nameOf(child) === 'row');
      return is(nameOf(node) === 'count' && node['distinct'] === true && isOfRow);
    },
  },
  {
    construct: 'a division that may be by zero',
    why: 'it is infinity in DuckDB and an error in Spark',
    form: 'a / NULLIF(b, 0)',
    finds: ({ node }) =>
      is(
        node['class'] === 'FUNCTION' &&
          /^(\/|%|mod)$/.test(nameOf(node)) &&
          !isNeverZero(childrenOf(node, 'children')[1]),
      ),
  },
  {
    construct: 'division of a decimal',
    why: 'it is a double in DuckDB and a rounded decimal in Spark',
    form: 'CAST(d AS DOUBLE) / NULLIF(x, 0)',
    finds: (place) => {
      const own = nameOf(place.node) === '/' ? argumentTypes(place) : [];
      const isDouble = own.some((type) => type === 'DOUBLE' || type === 'FLOAT');
      return is(own.includes('DECIMAL') && !isDouble);
    },
  },
  {
    construct: 'CAST of a double to a decimal',
    why: 'the engines round otherwise',
    form: 'a sum of decimals, cast as a whole',
    finds: (place) => is(castTo(place) === 'DECIMAL' && /^(DOUBLE|FLOAT)$/.test(castFrom(place))),
  },
  {
    construct: 'CAST of a fraction to a whole number',
    why: 'DuckDB rounds, Spark cuts off',
    form: 'CAST(FLOOR(x) AS BIGINT) or CAST(CEIL(x) AS BIGINT)',
    finds: (place) => {
      const { child } = place.node;
      const isWhole = isNode(child) && /^(floor|ceil|ceiling)$/.test(nameOf(child));
      return is(
        /^(TINYINT|SMALLINT|INTEGER|BIGINT)$/.test(castTo(place)) &&
          /^(DOUBLE|FLOAT|DECIMAL)$/.test(castFrom(place)) &&
          !isWhole,
      );
    },
  },
  {
    construct: 'CAST of a timestamp or a double to text',
    why: 'the engines write them otherwise',
    form: 'a cast to DATE first, or of a decimal',
    finds: (place) =>
      is(castTo(place) === 'VARCHAR' && /^(DOUBLE|FLOAT|TIMESTAMP|INTERVAL)/.test(castFrom(place))),
  },
  {
    construct: 'a cast with ::',
    why: 'Spark 3 does not know it',
    form: 'CAST(x AS type)',
    finds: ({ node, written }) => is(node['class'] === 'CAST' && written.startsWith('::')),
  },
  {
    construct: 'a cast to a type that is not in both engines',
    why: 'Spark has other names for types, and not all of them',
    form: 'BOOLEAN, SMALLINT, INTEGER, BIGINT, FLOAT, DOUBLE, DECIMAL(p, s), STRING, VARCHAR(n), DATE or TIMESTAMP',
    finds: ({ node, written }) => {
      if (node['class'] !== 'CAST') return undefined;
      const type = writtenType(written);
      return type === undefined || PORTABLE_TYPE.test(type) ? undefined : `a cast to ${type}`;
    },
  },
  {
    construct: 'a timestamp with an offset',
    why: 'the engines read it otherwise',
    form: "TIMESTAMP '2026-01-31 12:00:00' in UTC",
    finds: ({ node }) => {
      const { child, cast_type: type } = node;
      if (!isNode(child) || !isNode(type) || !String(type['id']).startsWith('TIMESTAMP'))
        return undefined;
      const text = constantOf(child);
      return is(
        /WITH TIME ZONE/.test(String(type['id'])) ||
          (typeof text === 'string' && /:\d.*([+-]\d\d|[zZ])/.test(text)),
      );
    },
  },
  {
    construct: "INTERVAL '6 days'",
    why: 'Spark knows it as a form of old',
    form: "INTERVAL '6' DAY",
    finds: ({ node }) => is(isNode(node['cast_type']) && node['cast_type']['id'] === 'INTERVAL'),
  },
  {
    construct: 'an interval that is computed',
    why: 'Spark knows intervals of constants alone',
    form: "INTERVAL '6' DAY",
    finds: ({ node }) =>
      is(
        /^to_(years|months|weeks|days|hours|minutes|seconds)$/.test(nameOf(node)) &&
          node['class'] === 'FUNCTION' &&
          intervalConstant(node) === undefined,
      ),
  },
  {
    construct: 'EXTRACT of DOW, SECOND, EPOCH and others',
    why: 'the engines number them otherwise',
    form: 'YEAR, QUARTER, MONTH, WEEK, DAY, HOUR or MINUTE',
    finds: ({ node }) => {
      if (nameOf(node) !== 'date_part') return undefined;
      const part = constantOf(childrenOf(node, 'children')[0]);
      return typeof part === 'string' && /^(year|quarter|month|week|day|hour|minute)$/i.test(part)
        ? undefined
        : `EXTRACT of ${typeof part === 'string' ? part.toUpperCase() : 'a computed part'}`;
    },
  },
  {
    construct: 'a difference of dates',
    why: 'it is a number in DuckDB and an interval in Spark',
    form: "EXTRACT(DAY FROM (date_trunc('day', a) - date_trunc('day', b))) of timestamps",
    finds: (place) => {
      const own = nameOf(place.node) === '-' ? argumentTypes(place) : [];
      return is(own.length === 2 && own.every((type) => type === 'DATE'));
    },
  },
  {
    construct: 'a date with an interval',
    why: 'it is a timestamp in DuckDB and a date in Spark',
    form: "CAST(d AS TIMESTAMP) + INTERVAL '6' DAY",
    finds: (place) => {
      const own = /^[-+]$/.test(nameOf(place.node)) ? argumentTypes(place) : [];
      return is(own.includes('DATE') && own.includes('INTERVAL'));
    },
  },
  {
    construct: 'a RANGE frame over a date',
    why: 'not every Spark takes a date with an interval',
    form: 'ORDER BY CAST(d AS TIMESTAMP)',
    finds: ({ node, types }) => {
      const isRange = [node['start'], node['end']].some((edge) =>
        /^EXPR_.*_RANGE$/.test(String(edge)),
      );
      if (node['class'] !== 'WINDOW' || !isRange || !types.rangeKeys.has('DATE')) return undefined;
      const keys = childrenOf(node, 'orders').map(({ expression }) => expression);
      return is(!keys.every((key) => isNode(key) && castType(key) === 'TIMESTAMP'));
    },
  },
  {
    construct: 'a GROUPS frame or EXCLUDE in a window',
    why: 'Spark does not know it',
    form: 'ROWS or RANGE',
    finds: ({ node }) =>
      is(
        node['class'] === 'WINDOW' &&
          ([node['start'], node['end']].some((edge) => String(edge).endsWith('_GROUPS')) ||
            node['exclude_clause'] !== 'NO_OTHER'),
      ),
  },
  {
    construct: 'IGNORE NULLS',
    why: 'Spark wants it at another place',
    form: 'a subquery without the nulls',
    finds: ({ node }) => is(node['ignore_nulls'] === true),
  },
  {
    construct: 'a lambda',
    why: 'Spark has other functions of lists',
    form: 'rows of their own, or dialect: duckdb',
    finds: ({ node }) => is(node['class'] === 'LAMBDA'),
  },
  {
    construct: 'an element of a list',
    why: 'lists begin at 1 in DuckDB and at 0 in Spark',
    form: 'rows of their own, or dialect: duckdb',
    finds: ({ node }) => is(/^ARRAY_(EXTRACT|SLICE)$/.test(String(node['type']))),
  },
  {
    construct: 'trim of other characters than spaces',
    why: 'the arguments come in another order in Spark',
    form: 'replace(x, a, b), or dialect: duckdb',
    finds: ({ node }) =>
      is(/^[lr]?trim$/.test(nameOf(node)) && childrenOf(node, 'children').length > 1),
  },
  {
    construct: 'a parameter',
    why: 'nobody gives it a value',
    form: "{{ var('name') }}",
    finds: ({ node }) => is(node['class'] === 'PARAMETER'),
  },
  {
    construct: 'the current time',
    why: 'every engine and statement would have another',
    form: '{{ run_started_at }}',
    finds: ({ node }) => {
      const name = node['class'] === 'COLUMN_REF' ? node['column_names'] : undefined;
      const [word, another] = Array.isArray(name) ? name.map(String) : [];
      const isTime =
        another === undefined &&
        /^(current_(date|time|timestamp)|localtime(stamp)?)$/i.test(word ?? '');
      return isTime ? word : undefined;
    },
  },
  {
    construct: 'a function that is not known to be the same on both',
    why: 'Spark may lack it, or give something else',
    form: 'one that is, or dialect: duckdb',
    finds: ({ node }) => {
      if (node['class'] !== 'FUNCTION' && node['class'] !== 'WINDOW') return undefined;
      const name = nameOf(node);
      return PORTABLE_FUNCTIONS.has(name) ? undefined : shownName(name, node);
    },
  },
];

/** Of a function that is not portable, the form that is, where there is one. */
export function functionForm(node: SqlNode): string | undefined {
  const name = nameOf(node);
  const isCall = node['class'] === 'FUNCTION' || node['class'] === 'WINDOW';
  return isCall && !PORTABLE_FUNCTIONS.has(name) && Object.hasOwn(FORMS, name)
    ? FORMS[name]
    : undefined;
}

/** The constant of `INTERVAL '6' DAY`, which the parser wraps; undefined when it is another thing. */
export function intervalConstant(node: SqlNode): SqlNode | undefined {
  if (node['class'] !== 'FUNCTION' || !nameOf(node).startsWith('to_')) return undefined;
  let [inner] = childrenOf(node, 'children');
  // A number that is no text in quotes stands bare in a call of the function itself.
  if (inner?.['class'] !== 'CAST') return undefined;
  while (inner !== undefined && inner['class'] !== 'CONSTANT')
    inner = isNode(inner['child'])
      ? inner['child']
      : nameOf(inner) === 'trunc'
        ? childrenOf(inner, 'children')[0]
        : undefined;
  return inner;
}

export function nameOf(node: SqlNode): string {
  const name = node['function_name'];
  return typeof name === 'string' ? name.toLowerCase() : '';
}

/** As the file is likely to have it, where the parser has another name. */
function shownName(name: string, node: SqlNode): string {
  if (name === 'quantile_cont') return 'percentile_cont, quantile_cont or median';
  if (name === 'regexp_full_match') return 'a regular expression';
  if (name === 'timezone') return 'AT TIME ZONE';
  if (name === 'list_value') return 'a list';
  if (name === 'struct_pack') return 'a struct';
  return node['is_operator'] === true ? `the operator ${name}` : name;
}

function is(condition: boolean): true | undefined {
  return condition ? true : undefined;
}

function constantOf(node: SqlNode | undefined): unknown {
  const value = node?.['class'] === 'CONSTANT' ? node['value'] : undefined;
  return isNode(value) ? value['value'] : undefined;
}

/** In lower case, those without a relation before them; of subqueries, their own WHEREs tell. */
function namesUsed(expression: unknown): readonly string[] {
  if (Array.isArray(expression)) return expression.flatMap(namesUsed);
  if (!isNode(expression) || expression['class'] === 'SUBQUERY') return [];
  const names = expression['class'] === 'COLUMN_REF' ? expression['column_names'] : undefined;
  if (Array.isArray(names) && names.length === 1) return [String(names[0]).toLowerCase()];
  return Object.values(expression).flatMap(namesUsed);
}

/** As they are written, before the function makes them alike. */
function argumentTypes({ node, location, types }: Place): readonly (string | undefined)[] {
  const bound = types.argumentsOf(nameOf(node), location) ?? [];
  return childrenOf(node, 'children').map((child, index) => castType(child) ?? bound[index]);
}

/** What a cast makes; undefined of other nodes. */
export function castType(node: SqlNode): string | undefined {
  const type = node['class'] === 'CAST' ? node['cast_type'] : undefined;
  return isNode(type) ? String(type['id']) : undefined;
}

function castTo({ node }: Place): string {
  return castType(node) ?? '';
}

function castFrom({ node, location, types }: Place): string {
  const { child } = node;
  const explicit = isNode(child) ? castType(child) : undefined;
  return explicit ?? types.castFrom(castType(node) ?? '', location) ?? '';
}

/** Constants, NULLIF(…, 0), and what is at least a constant. */
function isNeverZero(node: SqlNode | undefined): boolean {
  if (node === undefined) return false;
  const constant = constantOf(node);
  if (typeof constant === 'number') return constant !== 0;
  if (node['class'] === 'CAST') return isNode(node['child']) && isNeverZero(node['child']);
  const children = childrenOf(node, 'children');
  if (nameOf(node) === 'nullif') return constantOf(children[1]) === 0;
  if (nameOf(node) === 'greatest')
    return children.some((child) => Number(constantOf(child) ?? 0) > 0);
  return nameOf(node) === 'ln' && Number(constantOf(children[0]) ?? 0) > 1;
}

const PORTABLE_TYPE =
  /^(BOOLEAN|SMALLINT|INT|INTEGER|BIGINT|FLOAT|REAL|DOUBLE|(DECIMAL|NUMERIC)\(\d+(,\s*\d+)?\)|STRING|VARCHAR\(\d+\)|DATE|TIMESTAMP)$/i;

/** The type in `CAST(… AS type)`; undefined of a literal such as `DATE '2026-01-31'`. */
function writtenType(written: string): string | undefined {
  const [opening] = /^(try_)?cast\s*\(/i.exec(written) ?? [];
  if (opening === undefined) return undefined;
  let depth = 1;
  let at = opening.length;
  const token = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[^]*?\*\/|[^]/gy;
  token.lastIndex = at;
  for (let match = token.exec(written); match !== null; match = token.exec(written)) {
    if (match[0] === '(') depth += 1;
    if (match[0] === ')') depth -= 1;
    at = match.index;
    if (depth === 0) break;
  }
  const inner = written.slice(opening.length, at);
  return /\bas\s+([a-z][^]*?)\s*$/i.exec(inner.slice(inner.toLowerCase().lastIndexOf(' as ')))?.[1];
}
