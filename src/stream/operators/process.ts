import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { KeyIndex } from './key-index.ts';
import { given, keyText, type Operator, type OperatorContext } from './operator.ts';

/** What a function of `process` may do, for the key at hand. Of use only until the function returns. */
export type ProcessContext<K, S, Out> = Readonly<{
  key: K;
  /** The event time of the element, or the time that the timer was set for. What is emitted has it too. */
  timeMs: number;
  /** No element of an earlier time is expected any more; -Infinity before anything is known. */
  watermarkMs: number;
  /** One JSON value a key; never changed in place, `set` replaces it. */
  state: Readonly<{ get: () => S | undefined; set: (value: S) => void; clear: () => void }>;
  emit: (value: Out) => void;
  /**
   * Has `onTimer` called for this key once the watermark has come to `atMs`, in whole ms: right
   * after this, where it has already. There is one timer a key and time. A timer may set only later ones.
   */
  setTimer: (atMs: number) => void;
  deleteTimer: (atMs: number) => void;
}>;

export type ProcessFunctions<K, V, S, Out> = Readonly<{
  onRecord(value: V, context: ProcessContext<K, S, Out>): void;
  /** The earliest first, and of one time in the order of the keys' text. */
  onTimer?(context: ProcessContext<K, S, Out>): void;
}>;

/** As kept: the user's value, which may be absent, and the times of timers, ascending. */
type Kept = Readonly<{ value?: unknown; timers?: readonly number[] }>;

/** A value a key, and timers in event time. */
export function processOperator(
  input: Edge,
  functions: ProcessFunctions<unknown, unknown, unknown, unknown>,
  name: string,
): NodeSpec {
  return {
    name,
    kind: 'process',
    inputs: [input],
    placement: 'by-key',
    isStateful: true,
    keeps: { form: 'parts' },
    isTimed: functions.onTimer !== undefined,
    open: (context) => openProcess(functions, context),
  };
}

function openProcess(
  { onRecord, onTimer }: ProcessFunctions<unknown, unknown, unknown, unknown>,
  { emit: output, state, watermarkMs }: OperatorContext,
): Operator {
  const emit = output();
  const waiting = new KeyIndex();
  const firstTimer = (text: string): number | undefined =>
    ((state.get(text) ?? {}) as Kept).timers?.[0];

  /** `firedMs`: of the timer at hand; one that was set for then or before would never come to an end. */
  const contextOf = (key: unknown, text: string, timeMs: number, firedMs = -Infinity) => {
    const kept = () => (state.get(text) ?? {}) as Kept;
    const keep = (value: unknown, timers: readonly number[]): void => {
      const isEmpty = value === undefined && timers.length === 0;
      const after = { ...(value !== undefined && { value }), ...(timers.length > 0 && { timers }) };
      state.set(text, isEmpty ? undefined : after);
    };
    return {
      key,
      timeMs,
      watermarkMs: watermarkMs(),
      state: {
        get: () => kept().value,
        set: (value: unknown) => keep(value, kept().timers ?? []),
        clear: () => keep(undefined, kept().timers ?? []),
      },
      emit: (value: unknown) => emit?.(key, value, timeMs),
      setTimer(atMs: number) {
        if (onTimer === undefined) throw new TypeError('a timer was set, but there is no onTimer');
        if (!Number.isSafeInteger(atMs))
          throw new TypeError(`time of a timer: expected whole ms since the epoch, found ${atMs}`);
        if (atMs <= firedMs)
          throw new TypeError(`time of a timer: expected one after ${firedMs}, found ${atMs}`);
        const { value, timers = [] } = kept();
        if (timers.includes(atMs)) return;
        keep(
          value,
          [...timers, atMs].toSorted((a, b) => a - b),
        );
        waiting.atMost(atMs, text);
      },
      deleteTimer(atMs: number) {
        const { value, timers = [] } = kept();
        keep(
          value,
          timers.filter((each) => each !== atMs),
        );
      },
    };
  };

  const fireFirst = (text: string, key: unknown, atMs: number): void => {
    const context = contextOf(key, text, atMs, atMs);
    context.deleteTimer(atMs);
    given(onTimer?.(context) as unknown);
  };

  return {
    probe: (_, key) => state.want(keyText(key)),

    accept(_, key, value, timeMs) {
      const text = keyText(key);
      given(onRecord(value, contextOf(key, text, timeMs)) as unknown);
      if (onTimer === undefined) return;
      const watermark = watermarkMs();
      for (let at = firstTimer(text); at !== undefined && at <= watermark; at = firstTimer(text)) {
        fireFirst(text, key, at);
      }
    },

    timer: {
      nextMs: () => waiting.nextMs(),
      due: (watermark, limit) => waiting.due(watermark, limit),
      fire(text) {
        const at = firstTimer(text);
        // Later than it was listed for: others come before it.
        if (at === undefined || at !== waiting.listedAt(text)) return waiting.set(at, text);
        fireFirst(text, JSON.parse(text), at);
        return waiting.set(firstTimer(text), text);
      },
      drop(text) {
        const { timers = [], ...kept } = (state.get(text) ?? {}) as Kept;
        const rest = timers.slice(1);
        const isEmpty = rest.length === 0 && kept.value === undefined;
        state.set(
          text,
          isEmpty ? undefined : { ...kept, ...(rest.length > 0 && { timers: rest }) },
        );
        waiting.set(rest[0], text);
      },
      restore: (text, kept) => waiting.set((kept as Kept).timers?.[0], text),
      reset: () => waiting.clear(),
    },
  };
}
