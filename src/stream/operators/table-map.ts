import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { given, type RowChange } from './operator.ts';

type OfRow<R> = (row: unknown, key: unknown) => R;

export function tableFilterOperator(input: Edge, test: OfRow<boolean>): NodeSpec {
  return onChanges('filter', input, (change, key) => {
    const kept = (row: unknown): unknown =>
      row !== undefined && given(test(row, key)) ? row : undefined;
    const before = kept(change.before);
    const after = kept(change.after);
    return before === undefined && after === undefined ? undefined : { ...change, before, after };
  });
}

export function tableMapOperator(input: Edge, to: OfRow<unknown>): NodeSpec {
  return onChanges('map', input, (change, key) => ({
    ...change,
    before: change.before === undefined ? undefined : given(to(change.before, key)),
    after: change.after === undefined ? undefined : given(to(change.after, key)),
  }));
}

export function changesOperator(input: Edge): NodeSpec {
  return onChanges('changes', input, ({ before, after }) => ({ before, after }));
}

function onChanges(
  kind: string,
  input: Edge,
  to: (change: RowChange, key: unknown) => RowChange | undefined,
): NodeSpec {
  return {
    kind,
    inputs: [input],
    open: (context) => {
      const emit = context.emit();
      return {
        accept(_, key, value, timeMs) {
          const change = to(value as RowChange, key);
          if (change !== undefined) emit?.(key, change, timeMs);
        },
      };
    },
  };
}
