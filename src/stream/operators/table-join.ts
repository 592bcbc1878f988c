import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { given, keyText, type RowChange } from './operator.ts';
import type { JoinType } from './stream-join.ts';

type Joiner = (left: unknown, right: unknown, key: unknown) => unknown;

/** Rows of two tables under the same key; a change of either changes what comes of both. */
export function tableJoinOperator(
  inputs: readonly [left: Edge, right: Edge],
  type: JoinType,
  joiner: Joiner,
  name: string | undefined,
): NodeSpec {
  const joined = (left: unknown, right: unknown, key: unknown): unknown => {
    const isThere =
      (left !== undefined && right !== undefined) ||
      (left !== undefined && type !== 'inner') ||
      (right !== undefined && type === 'outer');
    return isThere ? given(joiner(left, right, key)) : undefined;
  };
  return {
    name,
    kind: 'join',
    inputs,
    placement: 'by-key',
    isStateful: true,
    settings: { type },
    open: ({ emit: output, state }) => {
      const emit = output();
      return {
        probe(_, key) {
          const text = keyText(key);
          state.want(sideKey(0, text));
          state.want(sideKey(1, text));
        },
        accept(side, key, value, timeMs) {
          const text = keyText(key);
          const change = value as RowChange;
          const other = state.get(sideKey(1 - side, text));
          // As it was seen here, which is what was told on.
          const before = state.get(sideKey(side, text));
          state.set(sideKey(side, text), change.after);
          const of = (row: unknown): unknown =>
            side === 0 ? joined(row, other, key) : joined(other, row, key);
          const told = { ...change, before: of(before), after: of(change.after) };
          if (told.before !== undefined || told.after !== undefined) emit?.(key, told, timeMs);
        },
      };
    },
  };
}

function sideKey(side: number, text: string): string {
  return `${side}${text}`;
}
