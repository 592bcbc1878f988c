import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SqlRows } from '../ports/sql-engine.ts';
import { type ROW_FORMATS, rowFormat } from './row-format.ts';

const columns = [
  { name: 'id', type: 'BIGINT' },
  { name: 'text', type: 'VARCHAR' },
];

function lines(format: (typeof ROW_FORMATS)[number], ...batches: SqlRows['rows'][]): string[] {
  const made = rowFormat(format, { dim: (text) => `<${text}>` });
  return batches.flatMap((rows) => made.linesOf({ columns, rows }));
}

test('a table has numbers on the right, and tells null from text', () => {
  assert.deepEqual(
    lines('table', [
      [1, 'NULL'],
      [10, null],
    ]),
    ['id  text', ' 1  NULL', '10  <NULL>'],
  );
});

test('a table keeps its columns as wide as they were, over batches', () => {
  assert.deepEqual(lines('table', [[10000, 'a']], [[1, 'b']]), [
    '   id  text',
    '10000  a',
    '    1  b',
  ]);
});

test('a table shows line breaks and orders to a terminal as what they are', () => {
  assert.deepEqual(lines('table', [[1, 'a\n\u001b[2Jb']]), ['id  text', ' 1  a\\n\\u001b[2Jb']);
});

test('CSV quotes where it must, and tells null from empty text', () => {
  assert.deepEqual(
    lines(
      'csv',
      [
        [1, 'a,b'],
        [2, 'say "no"\nor'],
      ],
      [
        [3, null],
        [4, ''],
      ],
    ),
    ['id,text', '1,"a,b"', '2,"say ""no""\nor"', '3,', '4,""'],
  );
});

test('without rows there is still a header', () => {
  assert.deepEqual(lines('csv', []), ['id,text']);
  assert.deepEqual(lines('table', []), ['id  text']);
});

test('JSON is an object a row, of as many fields as columns', () => {
  const format = rowFormat('json', { dim: (text) => text });
  const twice = [...columns, { name: 'id', type: 'JSON' }];
  assert.deepEqual(format.linesOf({ columns: twice, rows: [[1, null, [{ a: 1 }]]] }), [
    '{"id":1,"text":null,"id_1":[{"a":1}]}',
  ]);
});
