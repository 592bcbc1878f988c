import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import type { FixedWindow } from '../topology/windows.ts';
import { added, type Aggregation } from './aggregate.ts';
import { keyText, type Operator, type OperatorContext } from './operator.ts';
import { hasPanes, openPanes, START } from './panes.ts';
import { TimeIndex } from './time-index.ts';

/** One value a key and window; it goes when the window closes. */
export function windowOperator(
  kind: string,
  input: Edge,
  window: FixedWindow,
  aggregation: Aggregation,
  name: string | undefined,
): NodeSpec {
  const { sizeMs, graceMs } = window;
  const advanceMs = window.type === 'hopping' ? window.advanceMs : sizeMs;
  return {
    name,
    kind,
    inputs: [input],
    placement: 'by-key',
    isStateful: true,
    keeps: {
      form: 'windows',
      sizeMs,
      advanceMs,
      ...(hasPanes(window, aggregation) && { merge: aggregation.merge }),
    },
    isTimed: true,
    delays: { final: graceMs },
    settings: { window: window.type, sizeMs, advanceMs, graceMs },
    open: (context) => {
      const times = { sizeMs, advanceMs, graceMs };
      return context.emit('updates') === undefined && hasPanes(window, aggregation)
        ? openPanes(times, aggregation, context)
        : openWindows(times, aggregation, context);
    },
  };
}

function openWindows(
  { sizeMs, advanceMs, graceMs }: Readonly<Record<'sizeMs' | 'advanceMs' | 'graceMs', number>>,
  aggregation: Aggregation,
  { emit, state, watermarkMs, countLate }: OperatorContext,
): Operator {
  const updates = emit('updates');
  const final = emit('final');
  const late = emit('late');
  const waiting = new TimeIndex();
  const lifeMs = sizeMs + graceMs;
  /** Start of the first window that holds a time. */
  const firstStart = (timeMs: number): number =>
    Math.floor((timeMs - sizeMs + advanceMs) / advanceMs) * advanceMs;

  return {
    probe(_, key, _value, timeMs) {
      const text = keyText(key) + START;
      const watermark = watermarkMs();
      for (let start = firstStart(timeMs); start <= timeMs; start += advanceMs) {
        if (start + lifeMs > watermark) state.want(text + start);
      }
    },

    accept(_, key, value, timeMs) {
      const text = keyText(key) + START;
      const watermark = watermarkMs();
      let isLate = true;
      for (let start = firstStart(timeMs); start <= timeMs; start += advanceMs) {
        if (start + lifeMs <= watermark) continue;
        isLate = false;
        const at = text + start;
        const before = state.get(at);
        const after = added(aggregation, before, value, key, timeMs);
        state.set(at, after);
        if (before === undefined) waiting.add(start + lifeMs, at);
        updates?.({ key, startMs: start, endMs: start + sizeMs }, after, timeMs);
      }
      if (!isLate) return;
      countLate();
      late?.(key, value, timeMs);
    },

    timer: {
      nextMs: () => waiting.nextMs(),
      due: (watermark, limit) => waiting.due(watermark, limit),
      fire(at) {
        const { key, startMs } = parted(at);
        const value = state.get(at);
        // An entry whose record was undone waits for nothing.
        if (value !== undefined) {
          state.set(at, undefined);
          final?.({ key, startMs, endMs: startMs + sizeMs }, value, startMs + sizeMs - 1);
        }
        waiting.remove(startMs + lifeMs, at);
      },
      drop(at) {
        state.set(at, undefined);
        waiting.remove(parted(at).startMs + lifeMs, at);
      },
      restore: (at) => waiting.add(parted(at).startMs + lifeMs, at),
      reset: () => waiting.clear(),
    },
  };
}

function parted(at: string): { key: unknown; startMs: number } {
  const end = at.lastIndexOf(START);
  return { key: JSON.parse(at.slice(0, end)), startMs: Number(at.slice(end + 1)) };
}
