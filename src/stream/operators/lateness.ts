import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import type { FixedWindow } from '../topology/windows.ts';
import type { OperatorTimer } from './operator.ts';

/** Parts what comes while its window is open, on the port `on-time`, from what comes later, on `late`. */
export function latenessOperator(input: Edge, window: FixedWindow): NodeSpec {
  const { sizeMs, graceMs } = window;
  const advanceMs = window.type === 'hopping' ? window.advanceMs : sizeMs;
  return {
    kind: 'lateness',
    inputs: [input],
    settings: { sizeMs, advanceMs, graceMs },
    open: ({ emit, watermarkMs, countLate }) => {
      const onTime = emit('on-time');
      const late = emit('late');
      return {
        accept(_, key, value, timeMs) {
          const lastStart = Math.floor(timeMs / advanceMs) * advanceMs;
          if (lastStart + sizeMs + graceMs > watermarkMs()) return onTime?.(key, value, timeMs);
          countLate();
          return late?.(key, value, timeMs);
        },
        timer: NEVER_DUE,
      };
    },
  };
}

/** Time passes for those alone that have a timer. */
const NEVER_DUE: OperatorTimer = {
  nextMs: () => undefined,
  due: () => [],
  fire: () => undefined,
  drop: () => undefined,
  restore: () => undefined,
  reset: () => undefined,
};
