import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { given, keyText } from './operator.ts';

/** How elements become one value. */
export type Aggregation = Readonly<{
  initial: (() => unknown) | undefined;
  add: (aggregate: unknown, value: unknown, key: unknown, timeMs: number) => unknown;
  merge?: (a: unknown, b: unknown) => unknown;
}>;

/** One value a key, that never ends. */
export function aggregateOperator(
  kind: string,
  input: Edge,
  aggregation: Aggregation,
  name: string | undefined,
): NodeSpec {
  return {
    name,
    kind,
    inputs: [input],
    placement: 'by-key',
    isStateful: true,
    keeps: { form: 'values' },
    open: ({ emit: output, state }) => {
      const emit = output();
      return {
        probe: (_, key) => state.want(keyText(key)),
        accept(_, key, value, timeMs) {
          const text = keyText(key);
          const before = state.get(text);
          const after = added(aggregation, before, value, key, timeMs);
          state.set(text, after);
          emit?.(key, { before, after }, timeMs);
        },
      };
    },
  };
}

/** The aggregate with one more element. */
export function added(
  { initial, add }: Aggregation,
  before: unknown,
  value: unknown,
  key: unknown,
  timeMs: number,
): unknown {
  if (before === undefined && initial === undefined) return value;
  const after = given(add(before === undefined ? initial?.() : before, value, key, timeMs));
  if (after === undefined) throw new TypeError('an aggregate became undefined: it must be a value');
  return after;
}
