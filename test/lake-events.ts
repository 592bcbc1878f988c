import type { SourceTable } from '../src/batch/lake/writer/source-table.ts';
import { ordersTable } from './lake.ts';

/** Events whose every part follows from their number: for a lake that is compared with its log. */

export { ORDERS } from './lake.ts';
export const PARTITIONS = 2;
export const TABLE: SourceTable = ordersTable({ total: 'numeric(10,2)', note: 'text' });

const FIRST_MS = Date.UTC(2026, 10, 23, 23, 59);

/** Of each ten, one is deleted, with its tombstone, and one does not fit; days change on the way. */
export function eventAt(nth: number): {
  partition: number;
  key: Buffer;
  value: Buffer | null;
} {
  const id = Math.floor(nth / 2);
  const key = Buffer.from(JSON.stringify({ id }));
  const partition = id % PARTITIONS;
  if (nth % 10 === 9) return { partition, key, value: null };
  const isDelete = nth % 10 === 8;
  const row = {
    id,
    total: nth % 10 === 5 ? 'NAN' : (nth / 100).toFixed(2),
    note: `note ${nth} ${'é'.repeat(nth % 50)}`,
  };
  const source = {
    schema: 'public',
    table: 'orders',
    ts_ms: FIRST_MS + nth * 10,
    txId: nth,
    lsn: nth,
  };
  const envelope = {
    before: isDelete ? row : null,
    after: isDelete ? null : row,
    source: { ...source, snapshot: 'false' },
    op: isDelete ? 'd' : nth % 2 === 0 ? 'c' : 'u',
  };
  return { partition, key, value: Buffer.from(JSON.stringify(envelope)) };
}
