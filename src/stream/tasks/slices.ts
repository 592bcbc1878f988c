import type { LogRecord } from '../../domain/record-block.ts';

/** Parts of a batch within both bounds, in order; a record that is larger stands alone. */
export function* slicesOf(
  records: readonly LogRecord[],
  { maxRecords, maxBytes }: Readonly<{ maxRecords: number; maxBytes: number }>,
): Generator<readonly LogRecord[], void, undefined> {
  let start = 0;
  let bytes = 0;
  for (const [index, { key, value }] of records.entries()) {
    const size = sizeOf(key, value);
    const isFull = index - start >= maxRecords || bytes + size > maxBytes;
    if (isFull && index > start) {
      yield records.slice(start, index);
      start = index;
      bytes = 0;
    }
    bytes += size;
  }
  if (start < records.length) yield records.slice(start);
}

export function bytesOf(records: readonly LogRecord[]): number {
  return records.reduce((sum, { key, value }) => sum + sizeOf(key, value), 0);
}

function sizeOf(key: Uint8Array | null, value: Uint8Array | null): number {
  return (key?.length ?? 0) + (value?.length ?? 0);
}
