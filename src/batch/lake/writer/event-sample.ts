import type { LogRecord } from '../../../domain/record-block.ts';
import type { LakeColumn } from '../manifest.ts';

/** What one event tells of all. */
export type EventSample = Readonly<{
  schema: string;
  table: string;
  /** Of the row's columns, in the event's order. */
  names: readonly string[];
  values: ReadonlyMap<string, unknown>;
  /** Names of the key's columns, in key order; empty without a key. */
  key: readonly string[];
}>;

/** Undefined for what is no change of a row. */
export function sampleOf({
  key,
  value,
}: Pick<LogRecord, 'key' | 'value'>): EventSample | undefined {
  const event = parsed(value);
  if (!isObject(event)) return undefined;
  const { before, after, source } = event;
  const row = isObject(after) ? after : before;
  if (!isObject(row) || !isObject(source)) return undefined;
  const keyed = parsed(key);
  return {
    schema: textOf(source['schema']),
    table: textOf(source['table']),
    names: Object.keys(row),
    values: new Map(Object.entries(row)),
    key: isObject(keyed) ? Object.keys(keyed) : [],
  };
}

/** Whether a value's form says that its column has another type by now. */
export function isUnexpected({ type, sqlType }: LakeColumn, value: unknown): boolean {
  if (typeof value === 'number' || typeof value === 'boolean')
    return type === 'VARCHAR' && /^(text|character|uuid|json|date|time|numeric)/.test(sqlType);
  return typeof value === 'string' && /^(SMALLINT|INTEGER|BOOLEAN)$/.test(type);
}

function parsed(bytes: Uint8Array | null): unknown {
  if (bytes === null) return null;
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
  } catch {
    // What is no JSON is found, and put aside, when it is written.
    return undefined;
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
