import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { keyText, type Operator, type OperatorContext, type RowChange } from './operator.ts';
import { TimeIndex } from './time-index.ts';

/**
 * `event`: an element meets the row as it was at the element's time, so it waits until time has
 * passed it. `arrival`: the row as it is known when the element comes.
 */
export type StreamTableTiming = 'event' | 'arrival';

type Options = Readonly<{ isLeft: boolean; timing: StreamTableTiming; graceMs: number }>;
type Joiner = (value: unknown, row: unknown, key: unknown) => unknown;

/** A row from a time on; null: there was none. What was copied has been so for ever. */
type Version = readonly [sinceMs: number | null, row: unknown];
type Waiting = readonly [timeMs: number, value: unknown];

const STREAM = 0;

/** Each element of a stream with the table's row of its key. */
export function streamTableJoinOperator(
  inputs: readonly [stream: Edge, table: Edge],
  options: Options,
  joiner: Joiner,
  name: string | undefined,
): NodeSpec {
  const { isLeft, timing, graceMs } = options;
  const joined = (emit: Emitter, key: unknown, value: unknown, row: unknown, at: number): void => {
    if (row === undefined && !isLeft) return;
    emit?.(key, joiner(value, row, key), at);
  };
  return {
    name,
    kind: 'joinTable',
    inputs,
    placement: 'by-key',
    isStateful: true,
    isTimed: timing === 'event',
    settings: { isLeft, timing, graceMs },
    open: (context) =>
      timing === 'event' ? openByEvent(graceMs, joined, context) : openByArrival(joined, context),
  };
}

type Emitter = ReturnType<OperatorContext['emit']>;
type Joined = (emit: Emitter, key: unknown, value: unknown, row: unknown, at: number) => void;

function openByArrival(joined: Joined, { emit: output, state }: OperatorContext): Operator {
  const emit = output();
  return {
    probe: (_, key) => state.want(keyText(key)),
    accept(input, key, value, timeMs) {
      const text = keyText(key);
      if (input === STREAM) joined(emit, key, value, state.get(text), timeMs);
      else state.set(text, (value as RowChange).after);
    },
  };
}

function openByEvent(
  graceMs: number,
  joined: Joined,
  { emit: output, state, watermarkMs, countLate }: OperatorContext,
): Operator {
  const emit = output();
  const late = output('late');
  const waiting = new TimeIndex();
  const versionsOf = (text: string) => (state.get(VERSIONS + text) ?? []) as readonly Version[];
  const waitingFor = (text: string) => (state.get(WAITING + text) ?? []) as readonly Waiting[];
  // Elements of one time may come in any order, so it must have passed.
  const dueMs = (all: readonly Waiting[]): number => Math.min(...all.map(([time]) => time)) + 1;
  return {
    probe(_, key) {
      const text = keyText(key);
      state.want(VERSIONS + text);
      state.want(WAITING + text);
    },

    accept(input, key, value, timeMs) {
      const text = keyText(key);
      const watermark = watermarkMs();
      if (input !== STREAM) {
        const { after, isCopied } = value as RowChange;
        const versions = versionsOf(text);
        const added = withVersion(versions, isCopied === true ? null : timeMs, after);
        const kept = trimmed(added, watermark - graceMs);
        state.set(VERSIONS + text, kept.length === 0 ? undefined : kept);
      } else if (timeMs + graceMs < watermark) {
        countLate();
        late?.(key, value, timeMs);
      } else if (timeMs < watermark) {
        joined(emit, key, value, rowAt(versionsOf(text), timeMs), timeMs);
      } else {
        const all: readonly Waiting[] = [...waitingFor(text), [timeMs, value]];
        state.set(WAITING + text, all);
        waiting.add(dueMs(all), WAITING + text);
      }
    },

    timer: {
      nextMs: () => waiting.nextMs(),
      due: (watermark, limit) => waiting.due(watermark, limit),
      fire(at) {
        const text = at.slice(WAITING.length);
        const key: unknown = JSON.parse(text);
        const versions = versionsOf(text);
        const all = waitingFor(text);
        const watermark = watermarkMs();
        const ripe = all.filter(([timeMs]) => timeMs < watermark).toSorted(([a], [b]) => a - b);
        for (const [timeMs, value] of ripe) {
          joined(emit, key, value, rowAt(versions, timeMs), timeMs);
        }
        const rest = all.filter(([timeMs]) => timeMs >= watermark);
        state.set(at, rest.length === 0 ? undefined : rest);
        waiting.removeUpTo(watermark, at);
        if (rest.length > 0) waiting.add(dueMs(rest), at);
      },
      drop(at) {
        state.set(at, undefined);
        waiting.removeUpTo(watermarkMs(), at);
      },
      restore(at, value) {
        if (at.startsWith(WAITING)) waiting.add(dueMs(value as readonly Waiting[]), at);
      },
      reset: () => waiting.clear(),
    },
  };
}

const VERSIONS = 'v';
const WAITING = 'w';

function rowAt(versions: readonly Version[], timeMs: number): unknown {
  const version = versions.findLast(([sinceMs]) => (sinceMs ?? -Infinity) <= timeMs);
  return version?.[1] ?? undefined;
}

/** Changes of a key come in their order; of two at one time the later holds. */
function withVersion(
  versions: readonly Version[],
  sinceMs: number | null,
  row: unknown,
): readonly Version[] {
  const version: Version = [sinceMs, row ?? null];
  // A row that is copied though it is known is as it is known, or newer.
  if (sinceMs === null && versions.length > 0) {
    const last = versions.at(-1);
    return [...versions.slice(0, -1), [last?.[0] ?? null, row ?? null]];
  }
  return [...versions.filter(([other]) => other !== sinceMs), version].toSorted(
    ([a], [b]) => (a ?? -Infinity) - (b ?? -Infinity),
  );
}

/** Without those that nobody asks for any more. */
function trimmed(versions: readonly Version[], beforeMs: number): readonly Version[] {
  const first = versions.findLastIndex(([sinceMs]) => (sinceMs ?? -Infinity) <= beforeMs);
  const kept = first <= 0 ? versions : versions.slice(first);
  return kept.length === 1 && kept[0]?.[1] === null && first >= 0 ? [] : kept;
}
