import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { rowKey } from './row-key.ts';

test('a row key is its values, percent-encoded, joined by commas', () => {
  assert.equal(rowKey({ id: 7 }), '7');
  assert.equal(rowKey({ id: 7, region: 'a,b:c d' }), '7,a%2Cb%3Ac%20d');
  assert.equal(rowKey({ id: true, at: null }), 'true,null');
});

test('a change without a key has the row key "-"', () => {
  assert.equal(rowKey(null), '-');
});

test('different keys of text have different row keys, free of separators', () => {
  const key = fc.array(fc.string({ unit: 'grapheme' }), { minLength: 2, maxLength: 2 });
  fc.assert(
    fc.property(key, key, (one, other) => {
      const keys = [one, other].map((values) => rowKey(Object.fromEntries(values.entries())));
      assert.equal(keys[0] === keys[1], JSON.stringify(one) === JSON.stringify(other));
      assert.doesNotMatch(keys.join(''), /[:\n]/);
    }),
  );
});
