/**
 * A position in PostgreSQL's write-ahead log: 64 bits, written "16/B374D848".
 *
 * Kept as a bigint so that positions compare with `<`. The text form does not:
 * "9/0" sorts after "10/0".
 */
export type Lsn = bigint & { readonly __lsn: never };

const TEXT_FORM = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i;

export function parseLsn(text: string): Lsn {
  const [, high, low] = TEXT_FORM.exec(text) ?? [];
  if (high === undefined || low === undefined) throw new SyntaxError(`not an LSN: "${text}"`);
  return ((BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)) as Lsn;
}

export function formatLsn(lsn: Lsn): string {
  const hex = (half: bigint) => half.toString(16).toUpperCase();
  return `${hex(lsn >> 32n)}/${hex(lsn & 0xffff_ffffn)}`;
}

/** From the two halves as they stand on the wire; hot loops keep them as numbers until needed. */
export function lsnOf(high: number, low: number): Lsn {
  return ((BigInt(high) << 32n) | BigInt(low)) as Lsn;
}
