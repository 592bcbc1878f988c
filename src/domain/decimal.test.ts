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

test('a sum of amounts is that of their thousandths', () => {
  const amount = fc.tuple(fc.integer({ min: -(10 ** 15) + 1, max: 10 ** 15 - 1 }), fc.nat(3));
  fc.assert(
    fc.property(amount, amount, (...amounts) => {
      const units = amounts.map(([thousandths, places]) => {
        const unit = BigInt(10 ** (3 - places));
        return (BigInt(thousandths) / unit) * unit;
      });
      const texts = amounts.map(([, places], at) => inThousandths(units[at] ?? 0n, places));
      const [a = '', b = ''] = texts;
      const sum = inThousandths((units[0] ?? 0n) + (units[1] ?? 0n), 3);
      assert.equal(addDecimals(a, b), sum.replace(/\.?0+$/, '').replace(/^-0$/, '0'));
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

function inThousandths(thousandths: bigint, places: number): string {
  const digits = String(thousandths < 0n ? -thousandths : thousandths).padStart(4, '0');
  const fraction = places === 0 ? '' : `.${digits.slice(-3).slice(0, places)}`;
  return `${thousandths < 0n ? '-' : ''}${digits.slice(0, -3)}${fraction}`;
}
