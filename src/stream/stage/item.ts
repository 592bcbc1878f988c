import { decodeChange } from '../../domain/envelope.ts';
import type { LogRecord } from '../../domain/record-block.ts';
import type { Entry, Stage } from '../topology/compile.ts';

/*
 * HOT PATH. Every record that a topology reads becomes one of these: made at once and whole, so that
 * all are of one shape, and nothing is copied.
 */

/** A record, decoded. */
export type Item = Readonly<{
  /** Of the stage's entries; undefined: all of them. */
  entry: number | undefined;
  key: unknown;
  value: unknown;
  /** Of a source, undefined where the record tells nothing about time; the least, where several differ. */
  timeMs: number | undefined;
  /** Of each source, where there are several. */
  times: readonly (number | undefined)[] | undefined;
  /** The record's own time, for what has no other. */
  recordMs: number;
  upstream: string;
  /** How far time had come upstream. */
  watermarkMs: number | undefined;
  isTruncate: boolean;
  /** It tells how far time has come, and nothing else. */
  isTimeOnly: boolean;
}>;

/** The value of a record on an internal topic. */
export type Internal = Readonly<{ n?: number; u: string; w: number | null; v?: unknown }>;

/**
 * What a record is to a stage, in the task `self`. Undefined: there is nothing to do. Throws where
 * the record is not what the stage reads.
 */
export function itemOf(
  { format, topic, entries }: Stage,
  record: LogRecord,
  partition: number,
  self: string,
): Item | undefined {
  if (format === 'changes') {
    const change = decodeChange(topic, partition, record);
    if (change === undefined) return undefined;
    const { key, op, source } = change;
    return ofSource(entries, key, change, source.ts_ms, op === 't', self);
  }
  const key = record.key === null ? null : textOf(record.key);
  const value: unknown = record.value === null ? null : JSON.parse(textOf(record.value));
  if (format === 'json') return ofSource(entries, key, value, record.timestampMs, false, self);
  const { n, u, w, v } = value as Internal;
  return {
    entry: n,
    key: key === null ? null : JSON.parse(key),
    value: v,
    timeMs: record.timestampMs,
    times: undefined,
    recordMs: record.timestampMs,
    upstream: u,
    watermarkMs: w ?? -Infinity,
    isTruncate: false,
    isTimeOnly: n === undefined,
  };
}

/** When an item is, to one of the stage's entries. */
export function timeAt({ times, timeMs, recordMs }: Item, entry: number): number {
  return (times === undefined ? timeMs : times[entry]) ?? recordMs;
}

function ofSource(
  entries: readonly Entry[],
  key: unknown,
  value: unknown,
  recordMs: number,
  isTruncate: boolean,
  upstream: string,
): Item {
  const [first] = entries;
  const times =
    entries.length === 1 ? undefined : entries.map((entry) => timeOf(entry, value, recordMs));
  const timeMs = times === undefined ? first && timeOf(first, value, recordMs) : earliestOf(times);
  return {
    entry: undefined,
    key,
    value,
    timeMs,
    times,
    recordMs,
    upstream,
    watermarkMs: undefined,
    isTruncate,
    isTimeOnly: false,
  };
}

function timeOf({ node }: Entry, value: unknown, recordMs: number): number | undefined {
  const of = node.source?.timeOf as ((value: unknown) => number | undefined) | undefined;
  const timeMs = of === undefined ? recordMs : of(value);
  if (timeMs === undefined) return undefined;
  if (Math.abs(timeMs) <= LAST_MS && typeof timeMs === 'number') return Math.floor(timeMs);
  const found = typeof timeMs === 'number' || timeMs === null ? timeMs : `a ${typeof timeMs}`;
  throw new TypeError(`event time: expected ms since the epoch, found ${found}`);
}

/** As of a Date: sums of times stay exact. */
const LAST_MS = 8.64e15;

/** None may be ahead of what another takes for late. */
function earliestOf(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((each) => each !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString('utf8');
}
