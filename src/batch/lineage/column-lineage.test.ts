import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { TemporaryBatch } from '../../../test/temporary-batch.ts';
import { parseSelect } from '../models/ast.ts';
import { columnLineage } from './column-lineage.ts';
import type { Influence } from './influence.ts';

const RELATIONS: Readonly<Record<string, readonly string[]>> = {
  orders: ['id', 'customer_id', 'amount', 'status'],
  customers: ['id', 'name', 'state'],
};
const batch = await TemporaryBatch.create();
after(() => batch[Symbol.asyncDispose]());

/** Columns as `name: orders.amount AGGREGATION, …`, or `name: ?` where it can't be told; then what decides about rows. */
async function lineage(sql: string): Promise<string[]> {
  const parsed = await parseSelect(batch.engine, sql);
  assert.ok('ast' in parsed, JSON.stringify(parsed));
  const { columns, rows } = columnLineage(parsed.ast, {
    columnsOf: (relation) => RELATIONS[relation],
    aggregates: new Set(['sum', 'max', 'count', 'count_star']),
  });
  if (columns === undefined) return ['?'];
  return [
    ...columns.map(({ name, influences }) => `${name}: ${influences?.map(text).join(', ') ?? '?'}`),
    ...(rows.length === 0 ? [] : [`rows: ${rows.map(text).join(', ')}`]),
  ];
}

function text({ relation, column, kind }: Influence): string {
  return `${relation}.${column} ${kind}`;
}

describe('the lineage of a column', () => {
  const cases: readonly (readonly [what: string, sql: string, expected: readonly string[]])[] = [
    [
      'tells what is taken as it is from what is made, and from aggregates',
      'SELECT o.id, amount * 2 AS twice, sum(amount + id) AS total, count(*) AS n FROM orders o',
      [
        'id: orders.id IDENTITY',
        'twice: orders.amount TRANSFORMATION',
        'total: orders.amount AGGREGATION, orders.id AGGREGATION',
        'n: ',
      ],
    ],
    [
      'goes through subqueries and common tables, whatever their columns are called',
      'WITH a(x) AS (SELECT amount FROM orders), b AS (SELECT x AS y FROM (SELECT x FROM a) s) SELECT sum(Y) AS z FROM b',
      ['z: orders.amount AGGREGATION'],
    ],
    [
      'knows a common table from the table that it hides, and reads',
      'WITH orders AS (SELECT amount AS id FROM orders) SELECT id FROM orders',
      ['id: orders.amount IDENTITY'],
    ],
    [
      'tells what joins, filters, groups and sorts',
      "SELECT name, max(amount) AS most FROM orders o LEFT JOIN customers c ON o.customer_id = c.id WHERE status = 'paid' GROUP BY 1 HAVING count(o.id) > 1 ORDER BY most",
      [
        'name: customers.name IDENTITY',
        'most: orders.amount AGGREGATION',
        'rows: orders.customer_id JOIN, customers.id JOIN, orders.status FILTER, customers.name GROUP_BY, orders.id FILTER, orders.amount SORT',
      ],
    ],
    [
      'takes a column of USING from the side that has it',
      'SELECT id, name FROM orders RIGHT JOIN customers USING (id)',
      [
        'id: customers.id IDENTITY',
        'name: customers.name IDENTITY',
        'rows: orders.id JOIN, customers.id JOIN',
      ],
    ],
    [
      'expands *, with what is left out, replaced and renamed',
      'SELECT * EXCLUDE (status) REPLACE (amount + 1 AS amount) RENAME (id AS order_id) FROM orders',
      [
        'order_id: orders.id IDENTITY',
        'customer_id: orders.customer_id IDENTITY',
        'amount: orders.amount TRANSFORMATION',
      ],
    ],
    [
      'expands * of one of several, and of what USING has merged',
      'SELECT * FROM (SELECT id, status FROM orders) o JOIN (SELECT c.* FROM customers c) d USING (id)',
      [
        'id: orders.id IDENTITY',
        'status: orders.status IDENTITY',
        'name: customers.name IDENTITY',
        'state: customers.state IDENTITY',
        'rows: orders.id JOIN, customers.id JOIN',
      ],
    ],
    [
      'unites both sides of a UNION, by place and by name',
      'SELECT id, status AS s FROM orders UNION ALL SELECT id, name FROM customers',
      [
        'id: orders.id IDENTITY, customers.id IDENTITY',
        's: orders.status IDENTITY, customers.name IDENTITY',
      ],
    ],
    [
      'unites by name',
      'SELECT id, status FROM orders UNION BY NAME SELECT name AS status FROM customers',
      ['id: orders.id IDENTITY', 'status: orders.status IDENTITY, customers.name IDENTITY'],
    ],
    [
      'follows a recursion to its end',
      'WITH RECURSIVE r AS (SELECT id, amount AS a, status AS b FROM orders UNION ALL SELECT id, b, id FROM r) SELECT a FROM r',
      ['a: orders.amount IDENTITY, orders.status IDENTITY, orders.id IDENTITY'],
    ],
    [
      'tells conditions, windows and filters from values',
      'SELECT CASE WHEN status = 1 THEN amount ELSE 0 END AS c, sum(amount) FILTER (WHERE id > 1) OVER (PARTITION BY customer_id ORDER BY status) AS w FROM orders',
      [
        'c: orders.amount TRANSFORMATION, orders.status CONDITIONAL',
        'w: orders.amount AGGREGATION, orders.customer_id WINDOW, orders.status WINDOW, orders.id CONDITIONAL',
      ],
    ],
    [
      'goes into scalar and correlated subqueries',
      'SELECT (SELECT max(amount) FROM orders WHERE customer_id = c.id) AS most, EXISTS (SELECT * FROM orders o WHERE o.id = c.id) AS has FROM customers c',
      [
        'most: orders.amount AGGREGATION, orders.customer_id FILTER, customers.id FILTER',
        'has: orders.id FILTER, customers.id FILTER',
      ],
    ],
    [
      'follows names that the same SELECT has given, and lambdas',
      'SELECT amount + 1 AS more, more * 2 AS much, list_transform([status], s -> s || name) AS l FROM orders, LATERAL (SELECT orders.id AS name) n',
      [
        'more: orders.amount TRANSFORMATION',
        'much: orders.amount TRANSFORMATION',
        'l: orders.status TRANSFORMATION, orders.id TRANSFORMATION',
      ],
    ],
    [
      'of what is written there is nothing',
      "SELECT column0 AS a FROM (VALUES ('x')) t(column0)",
      ['a: '],
    ],
  ];
  for (const [what, sql, expected] of cases)
    test(what, async () => {
      assert.deepEqual(await lineage(sql), expected);
    });

  const untold: readonly (readonly [what: string, sql: string, expected: readonly string[]])[] = [
    ['a table whose columns are not known', 'SELECT x, 1 AS one FROM others', ['x: ?', 'one: ']],
    ['* of such a table', 'SELECT * FROM others, orders', ['?']],
    [
      'a table function',
      'SELECT u.x + amount AS y, amount FROM orders, unnest([1]) u(x)',
      ['y: ?', 'amount: orders.amount IDENTITY'],
    ],
    ['columns chosen by a pattern', "SELECT COLUMNS('a.*') FROM orders", ['?']],
    [
      'a name of two tables',
      'SELECT id, name FROM orders, customers',
      ['id: ?', 'name: customers.name IDENTITY'],
    ],
    ['a name of none', 'SELECT nothing FROM orders', ['nothing: ?']],
  ];
  for (const [what, sql, expected] of untold)
    test(`is left out, and not guessed, of ${what}`, async () => {
      assert.deepEqual(await lineage(sql), expected);
    });
});
