import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import type { Windowed } from '../topology/windows.ts';
import { KeyIndex } from './key-index.ts';
import { keyText } from './operator.ts';

/**
 * Lets pass what is of the newest window of its key, and not what still comes to an older one. What
 * is served under the key alone would else go back to the older.
 *
 * It forgets a key when the newest window closes: then all older ones have.
 */
export function newestWindowOperator(input: Edge, graceMs: number): NodeSpec {
  return {
    kind: 'newest',
    inputs: [input],
    isStateful: true,
    isTimed: true,
    open: ({ emit: output, state, watermarkMs }) => {
      const emit = output();
      const waiting = new KeyIndex();
      return {
        probe: (_, key) => state.want(keyText((key as Windowed<unknown>).key)),

        accept(_, windowed, value, timeMs) {
          const { key, endMs } = windowed as Windowed<unknown>;
          const text = keyText(key);
          const newestMs = state.get(text) as number | undefined;
          if (newestMs !== undefined && endMs < newestMs) return;
          if (newestMs !== endMs) {
            state.set(text, endMs);
            waiting.atMost(endMs + graceMs, text);
          }
          emit?.(windowed, value, timeMs);
        },

        timer: {
          nextMs: () => waiting.nextMs(),
          due: (watermark, limit) => waiting.due(watermark, limit),
          // It may have been listed for an older window, or for a record that was undone.
          fire(text) {
            const newestMs = state.get(text) as number | undefined;
            const dueMs = newestMs === undefined ? undefined : newestMs + graceMs;
            if (dueMs !== undefined && dueMs > watermarkMs()) return waiting.set(dueMs, text);
            if (dueMs !== undefined) state.set(text, undefined);
            return waiting.set(undefined, text);
          },
          drop(text) {
            state.set(text, undefined);
            waiting.set(undefined, text);
          },
          restore: (text, endMs) => waiting.set((endMs as number) + graceMs, text),
          reset: () => waiting.clear(),
        },
      };
    },
  };
}
