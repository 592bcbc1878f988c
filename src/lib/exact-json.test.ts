import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExactJson } from './exact-json.ts';

test('writes back every number as it was read', () => {
  const text =
    '{"ns":1763900000123456789,"price":12.50,"big":123456789012345678901234567890,"id":7}';
  assert.equal(JSON.stringify(parseExactJson(text)), text);
});

test('keeps what a double holds a number', () => {
  assert.deepEqual(parseExactJson('[1,2.5,"x",null]'), [1, 2.5, 'x', null]);
});
