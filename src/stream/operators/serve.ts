import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { keyText, type OperatorContext, type RowChange } from './operator.ts';

/** What a served key is to hold: JSON, until `expiresAtMs`; `undefined` removes the key. */
export type ServedEntry = Readonly<{ key: string; value: unknown; expiresAtMs?: number }>;

/**
 * Every served key starts with `prefix`, which no other operator's may start with or be the start
 * of, and must follow from the stream's key: then one task writes it.
 */
export type ServeOptions<K, V> = Readonly<{ prefix: string; name?: string }> &
  (
    | Readonly<{
        /** Appended to the prefix; else the stream's key as text. */
        key?: (key: K) => string;
        /** What is kept as JSON; else the value itself. */
        value?: (value: V, key: K, timeMs: number) => unknown;
        /** Counted from the event time; else it stays. */
        expiresAfterMs?: number;
      }>
    /** Several keys at once, or none; each `key` is appended to the prefix. */
    | Readonly<{ entries: (value: V, key: K, timeMs: number) => readonly ServedEntry[] }>
  );

type Options = ServeOptions<unknown, unknown>;

export function serveOperator(input: Edge, options: Options): NodeSpec {
  return {
    ...servingNode(input, options),
    open: ({ serve }) => {
      const entriesOf = entriesIn(options);
      return {
        accept(_, key, value, timeMs) {
          for (const entry of entriesOf(value, key, timeMs)) put(serve, options.prefix, entry);
        },
      };
    },
  };
}

export function serveTableOperator(input: Edge, options: Options): NodeSpec {
  return {
    ...servingNode(input, options),
    open: ({ serve }) => {
      const entriesOf = entriesIn(options);
      return {
        accept(_, key, value, timeMs) {
          const { before, after } = value as RowChange;
          const entries = after === undefined ? [] : entriesOf(after, key, timeMs);
          const kept = new Set(entries.map((entry) => entry.key));
          const old = before === undefined ? [] : entriesOf(before, key, timeMs);
          for (const entry of old) {
            if (!kept.has(entry.key))
              put(serve, options.prefix, { key: entry.key, value: undefined });
          }
          for (const entry of entries) put(serve, options.prefix, entry);
        },
      };
    },
  };
}

function servingNode(input: Edge, { prefix, name }: Options): Omit<NodeSpec, 'open'> {
  return {
    name,
    kind: 'serve',
    inputs: [input],
    placement: 'by-key',
    settings: { prefix },
    serves: { prefix, isCommutative: false },
  };
}

function entriesIn(
  options: Options,
): (value: unknown, key: unknown, timeMs: number) => readonly ServedEntry[] {
  if ('entries' in options) return options.entries;
  const { key: keyOf = textOf, value: valueOf, expiresAfterMs } = options;
  return (value, key, timeMs) => [
    {
      key: keyOf(key),
      value: valueOf === undefined ? value : valueOf(value, key, timeMs),
      ...(expiresAfterMs !== undefined && { expiresAtMs: timeMs + expiresAfterMs }),
    },
  ];
}

function put(
  serve: OperatorContext['serve'],
  prefix: string,
  { key, value, expiresAtMs }: ServedEntry,
): void {
  const at = prefix + key;
  if (value === undefined) return serve({ op: 'delete', key: at });
  const expiry = expiresAtMs === undefined ? {} : { expiresAtMs };
  return serve({ op: 'put', key: at, value: JSON.stringify(value), ...expiry });
}

function textOf(key: unknown): string {
  return typeof key === 'string' ? key : keyText(key);
}
