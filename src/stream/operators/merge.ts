import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';

export function mergeOperator(inputs: readonly Edge[]): NodeSpec {
  return {
    kind: 'merge',
    inputs,
    open: (context) => {
      const emit = context.emit();
      return {
        accept(_, key, value, timeMs) {
          emit?.(key, value, timeMs);
        },
      };
    },
  };
}
