import type { LogRecord } from '../../domain/record-block.ts';

/** Parts of a batch within both bounds, in order; a record that is larger stands alone. */
export function* slicesOf(
  records: readonly LogRecord[],
  { maxRecords, maxBytes }: Readonly<{ maxRecords: number; maxBytes: number }>,
): Generator<readonly LogRecord[], void, undefined> {
  let start = 0;
  let bytes = 0;
  for (let at = 0; at < records.length; at += 1) {
    const size = sizeOf(records[at]);
    const isFull = at - start >= maxRecords || bytes + size > maxBytes;
    if (isFull && at > start) {
      yield records.slice(start, at);
      start = at;
      bytes = 0;
    }
    bytes += size;
  }
  if (start < records.length) yield records.slice(start);
}

export function bytesOf(records: readonly LogRecord[]): number {
  return records.reduce((sum, record) => sum + sizeOf(record), 0);
}

function sizeOf(record: LogRecord | undefined): number {
  return (record?.key?.length ?? 0) + (record?.value?.length ?? 0);
}
