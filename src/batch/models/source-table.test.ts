import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceName } from './source-table.ts';

test('a source has a readable name, and never that of another one, whatever its case', () => {
  assert.equal(sourceName({ schema: 'public', name: 'order_items' }), 'src__public__order_items');
  const hashed = sourceName({ schema: 'public', name: 'Plain' });
  assert.match(hashed, /^src__public__Plain__[0-9a-f]{16}$/);
  const tables = [
    ['public', 'plain'],
    ['public', 'Plain'],
    ['public', 'PLAIN'],
    ['Public', 'plain'],
    ['a__b', 'c'],
    ['a', 'b__c'],
    ['a_', 'b'],
    ['a', '_b'],
    ['public', hashed.slice('src__public__'.length)],
    ['public', hashed.slice('src__public__'.length).toLowerCase()],
  ] as const;
  const names = tables.map(([schema, name]) => sourceName({ schema, name }).toLowerCase());
  assert.equal(new Set(names).size, tables.length, names.join(' '));
});
