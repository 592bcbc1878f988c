import Big from 'big.js';

const DECIMAL = /^-?\d+(\.\d+)?$/;
const SMALL_INTEGER = /^-?\d{1,15}$/;

/** Whether `text` is a number in plain notation, such as "-12.50"; no exponent, no blanks. */
export function isDecimal(text: string): boolean {
  return DECIMAL.test(text);
}

/**
 * The exact sum, in canonical form: no exponent, no leading or trailing zeros, "0" for zero. So
 * equal sums are equal texts. Both must be decimals as `isDecimal` tells.
 */
export function addDecimals(a: string, b: string): string {
  // Counters: sums of 15-digit integers are exact in a double, and ten times as fast.
  if (SMALL_INTEGER.test(a) && SMALL_INTEGER.test(b)) return String(Number(a) + Number(b));
  const sum = new Big(a).plus(b);
  return sum.eq(0) ? '0' : sum.toFixed();
}
