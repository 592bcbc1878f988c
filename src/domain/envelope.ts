import { parseExactJson } from '../lib/exact-json.ts';
import type { LogRecord } from './record-block.ts';

/** c created, u updated, d deleted, r copied, t truncated, m logical message. */
export const OPERATIONS = ['c', 'u', 'd', 'r', 't', 'm'] as const;
export type Operation = (typeof OPERATIONS)[number];

/**
 * A row as JSON holds it: decimals, timestamps and the like are strings in the shop's modes. So is a
 * whole number that a double would round, such as an id of 19 digits: it must not become another's.
 */
export type Row = Readonly<Record<string, unknown>>;

/** Debezium's change event, as far as consumers here read it. */
export type ChangeEvent = Readonly<{
  op: Operation;
  before: Row | null;
  after: Row | null;
  source: Readonly<{
    schema: string;
    table: string;
    /** Commit time; of a copied row, the time of the copy. */
    ts_ms: number;
    txId: number | null;
    lsn: number | null;
    /** Null where a converter leaves out what is the default: streamed. */
    snapshot: string | null;
  }>;
  /** When the connector processed the change. */
  ts_ms?: number;
}>;

/** A change event with its key and its place in the log. */
export type Change = ChangeEvent &
  Readonly<{
    /** Null: the table has no key, or the change is of no single row (truncate). */
    key: Row | null;
    topic: string;
    partition: number;
    offset: number;
  }>;

/**
 * The change event of a record; undefined for a tombstone. Throws a SyntaxError that says what is
 * wrong with anything else: the record is then a dead letter.
 */
export function decodeChange(
  topic: string,
  partition: number,
  record: LogRecord,
): Change | undefined {
  if (record.value === null) return undefined;
  const event: unknown = JSON.parse(text(record.value));
  if (!isChangeEvent(event)) throw new SyntaxError('not a change event: no op, or no source.table');
  const key: unknown = record.key === null ? null : JSON.parse(text(record.key));
  if (typeof key !== 'object') throw new SyntaxError('the key of a change event is not an object');
  const change = { ...event, key: key as Row | null, topic, partition, offset: record.offset };
  const isRounded = hasRounded(key) || hasRounded(event.before) || hasRounded(event.after);
  return isRounded ? withExactRows(change, record) : change;
}

function isChangeEvent(value: unknown): value is ChangeEvent {
  if (typeof value !== 'object' || value === null) return false;
  const { op, source } = value as Partial<ChangeEvent>;
  return (
    OPERATIONS.some((each) => each === op) &&
    typeof source === 'object' &&
    source !== null &&
    typeof source.table === 'string' &&
    typeof source.ts_ms === 'number'
  );
}

/** Whether a number may have been another one in the text. */
function hasRounded(value: unknown): boolean {
  if (typeof value === 'number') return Number.isInteger(value) && !Number.isSafeInteger(value);
  if (typeof value !== 'object' || value === null) return false;
  for (const name in value) if (hasRounded((value as Row)[name])) return true;
  return false;
}

/** Parses anew, which takes some times as long. */
function withExactRows(change: Change, { key, value }: LogRecord): Change {
  const rows = (bytes: Uint8Array | null): unknown =>
    bytes === null ? null : parseExactJson(text(bytes), exactInteger);
  const { before, after } = rows(value) as ChangeEvent;
  return { ...change, before, after, key: rows(key) as Row | null };
}

// A floating-point number has a point or an exponent, and is rounded in the source too.
function exactInteger(source: string, rounded: number): string | number {
  return /^-?\d+$/.test(source) ? source : rounded;
}

function text(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString('utf8');
}
