import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { given, keyText, type RowChange } from './operator.ts';

export function selectKeyOperator(
  input: Edge,
  of: (value: unknown, key: unknown, timeMs: number) => unknown,
): NodeSpec {
  return {
    kind: 'selectKey',
    inputs: [input],
    rekeys: true,
    open: (context) => {
      const emit = context.emit();
      return {
        accept(_, key, value, timeMs) {
          emit?.(given(of(value, key, timeMs)), value, timeMs);
        },
      };
    },
  };
}

/** A row whose key has changed leaves the old one and comes to the new. */
export function selectRowKeyOperator(
  input: Edge,
  of: (row: unknown, key: unknown) => unknown,
): NodeSpec {
  return {
    kind: 'groupBy',
    inputs: [input],
    rekeys: true,
    open: (context) => {
      const emit = context.emit();
      return {
        accept(_, key, value, timeMs) {
          const change = value as RowChange;
          const { before, after } = change;
          const from = before === undefined ? undefined : of(before, key);
          const to = after === undefined ? undefined : of(after, key);
          if (before === undefined || after === undefined) {
            emit?.(before === undefined ? to : from, change, timeMs);
          } else if (keyText(from) === keyText(to)) {
            emit?.(to, change, timeMs);
          } else {
            emit?.(from, { before, after: undefined }, timeMs);
            emit?.(to, { before: undefined, after }, timeMs);
          }
        },
      };
    },
  };
}
