import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';

type Predicate = (value: unknown, key: unknown, timeMs: number) => boolean;

export function branchOperator(
  input: Edge,
  predicates: Readonly<Record<string, Predicate>>,
): NodeSpec {
  if ('rest' in predicates) throw new TypeError('a branch is named rest, which is what is left');
  return {
    kind: 'branch',
    inputs: [input],
    settings: { branches: Object.keys(predicates).join(' ') },
    open: (context) => {
      const branches = Object.entries(predicates).map(
        ([name, holds]) => [holds, context.emit(name)] as const,
      );
      const rest = context.emit('rest');
      return {
        accept(_, key, value, timeMs) {
          for (const [holds, emit] of branches) {
            if (holds(value, key, timeMs)) return emit?.(key, value, timeMs);
          }
          return rest?.(key, value, timeMs);
        },
      };
    },
  };
}
