import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { type Aggregation, added } from './aggregate.ts';
import { keyText, type RowChange } from './operator.ts';

type Retracting = Aggregation &
  Readonly<{ retract: (aggregate: unknown, row: unknown, key: unknown) => unknown }>;

/** With how many rows it is made of: without any, it is not there. */
type Kept = Readonly<{ rows: number; value: unknown }>;

/** One value a key, made of the rows that share it now. */
export function retractingAggregateOperator(
  kind: string,
  input: Edge,
  aggregation: Retracting,
  name: string | undefined,
): NodeSpec {
  const change = (
    kept: Kept | undefined,
    { before, after }: RowChange,
    key: unknown,
    at: number,
  ) => {
    const adding = after === undefined ? 0 : 1;
    const rows = (kept?.rows ?? 0) - (before === undefined ? 0 : 1) + adding;
    if (rows <= 0) return undefined;
    let value = kept?.value;
    if (before !== undefined && value !== undefined)
      value = aggregation.retract(value, before, key);
    if (after !== undefined) value = added(aggregation, value, after, key, at);
    return { rows, value };
  };
  return {
    name,
    kind,
    inputs: [input],
    placement: 'by-key',
    isStateful: true,
    keeps: { form: 'parts' },
    open: ({ emit: output, state }) => {
      const emit = output();
      return {
        probe: (_, key) => state.want(keyText(key)),
        accept(_, key, value, timeMs) {
          const text = keyText(key);
          const before = state.get(text) as Kept | undefined;
          const after = change(before, value as RowChange, key, timeMs);
          if (before === undefined && after === undefined) return;
          state.set(text, after);
          emit?.(key, { before: before?.value, after: after?.value }, timeMs);
        },
      };
    },
  };
}
