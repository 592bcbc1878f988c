import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { keyText, type RowChange } from './operator.ts';

export type ToOptions<K, V> = Readonly<{
  /** The record's key; else that of the stream. Null: without one. */
  key?: (value: V, key: K) => string | null;
  /** What is written as JSON; else the value itself. Undefined stays what it is: a tombstone. */
  value?: (value: Exclude<V, undefined>, key: K, timeMs: number) => unknown;
  /** By name. */
  headers?: (value: V, key: K) => Readonly<Record<string, string>>;
  /** Of the topic, when it is created; else 1. */
  partitions?: number;
}>;

export function toOperator(
  input: Edge,
  topic: string,
  { key: keyOf, value: valueOf, headers, partitions }: ToOptions<unknown, unknown>,
): NodeSpec {
  return {
    kind: 'to',
    inputs: [input],
    settings: { topic },
    writes: { topic, partitions },
    open: ({ put }) => ({
      accept(_, key, value, timeMs) {
        const written =
          value === undefined || valueOf === undefined ? value : valueOf(value, key, timeMs);
        const json = written === undefined ? null : JSON.stringify(written);
        const own = keyOf === undefined ? recordKey(key) : keyOf(value, key);
        put(topic, own, json, timeMs, headers && Object.entries(headers(value, key)));
      },
    }),
  };
}

/** Changes of rows of one key stay in order, so a table is written where its key is. */
export function toTableOperator(
  input: Edge,
  topic: string,
  { partitions }: Readonly<{ partitions?: number }>,
): NodeSpec {
  return {
    kind: 'to',
    inputs: [input],
    settings: { topic },
    placement: 'by-key',
    writes: { topic, partitions },
    open: ({ put }) => ({
      accept(_, key, value, timeMs) {
        const { after } = value as RowChange;
        const json = after === undefined ? null : JSON.stringify(after);
        put(topic, recordKey(key), json, timeMs);
      },
    }),
  };
}

function recordKey(key: unknown): string | null {
  if (key === null || key === undefined) return null;
  return typeof key === 'string' ? key : keyText(key);
}
