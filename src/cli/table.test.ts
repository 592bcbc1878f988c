import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTable } from './table.ts';

test('columns line up, numbers to the right, without trailing spaces', () => {
  const lines = formatTable(
    [{ title: 'TOPIC' }, { title: 'END', align: 'right' }, { title: 'KIND' }],
    [
      ['customers', '7', 'delete'],
      ['a', '1,234', ''],
    ],
  );
  assert.deepEqual(lines, [
    'TOPIC        END  KIND',
    'customers      7  delete',
    'a          1,234',
  ]);
});

test('a coloured cell takes the width of its text', () => {
  const [, first, second] = formatTable(
    [{ title: 'S' }, { title: 'N' }],
    [
      ['\u001b[32mok\u001b[39m', '1'],
      ['fail', '2'],
    ],
  );
  assert.equal(first, '\u001b[32mok\u001b[39m    1');
  assert.equal(second, 'fail  2');
});
