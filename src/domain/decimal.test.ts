import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addDecimals, isDecimal } from './decimal.ts';

test('sums do not depend on the order', () => {
  const decimal = fc.stringMatching(/^-?[0-9]{1,30}(\.[0-9]{1,12})?$/);
  fc.assert(
    fc.property(decimal, decimal, decimal, (a, b, c) => {
      assert.equal(addDecimals(addDecimals(a, b), c), addDecimals(a, addDecimals(c, b)));
    }),
  );
});

test('a sum is in canonical form, also at the edge of the fast path', () => {
  assert.equal(addDecimals('-0', '0'), '0');
  assert.equal(addDecimals('-0', '-0'), '0');
  assert.equal(addDecimals('999999999999999', '999999999999999'), '1999999999999998');
  assert.equal(addDecimals('1999999999999998', '1'), '1999999999999999');
  assert.equal(addDecimals('1.10', '-0.10'), '1');
});

test('a decimal is plain notation', () => {
  for (const text of ['0', '-1', '007', '12.50']) assert.ok(isDecimal(text), text);
  for (const text of ['', '-', '1.', '.5', '1e5', '+1', ' 1', '1\n', 'NaN']) {
    assert.ok(!isDecimal(text), text);
  }
});
