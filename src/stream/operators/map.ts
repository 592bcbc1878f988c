import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { given } from './operator.ts';

type OfElement<R> = (value: unknown, key: unknown, timeMs: number) => R;

export function filterOperator(input: Edge, test: OfElement<boolean>): NodeSpec {
  return {
    kind: 'filter',
    inputs: [input],
    open: (context) => {
      const emit = context.emit();
      return {
        accept(_, key, value, timeMs) {
          if (given(test(value, key, timeMs))) emit?.(key, value, timeMs);
        },
      };
    },
  };
}

export function mapOperator(input: Edge, to: OfElement<unknown>): NodeSpec {
  return {
    kind: 'map',
    inputs: [input],
    open: (context) => {
      const emit = context.emit();
      return {
        accept(_, key, value, timeMs) {
          emit?.(key, given(to(value, key, timeMs)), timeMs);
        },
      };
    },
  };
}

export function flatMapOperator(input: Edge, to: OfElement<Iterable<unknown>>): NodeSpec {
  return {
    kind: 'flatMap',
    inputs: [input],
    open: (context) => {
      const emit = context.emit();
      return {
        accept(_, key, value, timeMs) {
          for (const each of given(to(value, key, timeMs))) emit?.(key, each, timeMs);
        },
      };
    },
  };
}
