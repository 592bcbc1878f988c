import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { KeyIndex } from './key-index.ts';
import { given, keyText, type Operator, type OperatorContext, type RowChange } from './operator.ts';

/**
 * `event`: an element meets the row as it was at the element's time, so it waits until time has
 * passed it. `arrival`: the row as it is known when the element comes.
 */
export type StreamTableTiming = 'event' | 'arrival';

type Options = Readonly<{ isLeft: boolean; timing: StreamTableTiming; graceMs: number }>;
type Joiner = (value: unknown, row: unknown, key: unknown) => unknown;

/** A row from a time on; null: there was none. What was copied has been so for ever. */
type Version = readonly [sinceMs: number | null, row: unknown];

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
    emit?.(key, given(joiner(value, row, key)), at);
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
  /** Elements that wait for their time, and rows that are no more, until nobody asks for them. */
  const waiting = new KeyIndex();
  const versionsOf = (text: string) => (state.get(VERSIONS + text) ?? []) as readonly Version[];
  const waitingAt = (at: string) => (state.get(at) ?? []) as readonly unknown[];

  const keep = (text: string, versions: readonly Version[]): void => {
    state.set(VERSIONS + text, versions.length === 0 ? undefined : versions);
  };
  /** When nobody can ask any more for what the row was before it went; undefined: it is there. */
  const forgottenMs = (versions: readonly Version[]): number | undefined => {
    const last = versions.at(-1);
    return last === undefined || last[1] !== null ? undefined : (last[0] ?? 0) + graceMs + 1;
  };

  return {
    probe(input, key, _value, timeMs) {
      const text = keyText(key);
      state.want(VERSIONS + text);
      if (input === STREAM) state.want(waitingKey(text, timeMs));
    },

    accept(input, key, value, timeMs) {
      const text = keyText(key);
      const watermark = watermarkMs();
      if (input !== STREAM) {
        const { after, isCopied } = value as RowChange;
        const added = withVersion(versionsOf(text), isCopied === true ? null : timeMs, after);
        const versions = trimmed(added, watermark - graceMs);
        keep(text, versions);
        const dueMs = forgottenMs(versions);
        if (dueMs !== undefined) waiting.atMost(dueMs, VERSIONS + text);
      } else if (timeMs + graceMs < watermark) {
        countLate();
        late?.(key, value, timeMs);
      } else if (timeMs < watermark) {
        joined(emit, key, value, rowAt(versionsOf(text), timeMs), timeMs);
      } else {
        const at = waitingKey(text, timeMs);
        state.set(at, [...waitingAt(at), value]);
        // Elements of one time may come in any order, so it must have passed.
        waiting.atMost(timeMs + 1, at);
      }
    },

    timer: {
      nextMs: () => waiting.nextMs(),
      due: (watermark, limit) => waiting.due(watermark, limit),
      want(at) {
        state.want(at);
        if (at.startsWith(WAITING)) state.want(VERSIONS + parted(at).text);
      },
      fire(at) {
        if (at.startsWith(WAITING)) {
          const { text, timeMs } = parted(at);
          const values = waitingAt(at);
          if (values.length > 0) {
            const key: unknown = JSON.parse(text);
            const row = rowAt(versionsOf(text), timeMs);
            for (const value of values) joined(emit, key, value, row, timeMs);
            state.set(at, undefined);
          }
          waiting.set(undefined, at);
        } else {
          const text = at.slice(VERSIONS.length);
          // Elements may still wait that are of a later time than it was listed for.
          const passedMs = (waiting.listedAt(at) ?? -Infinity) - graceMs - 1;
          const versions = trimmed(versionsOf(text), passedMs);
          keep(text, versions);
          waiting.set(forgottenMs(versions), at);
        }
      },
      drop(at) {
        state.set(at, undefined);
        waiting.set(undefined, at);
      },
      restore(at, value) {
        const dueMs = at.startsWith(WAITING)
          ? parted(at).timeMs + 1
          : forgottenMs(value as readonly Version[]);
        if (dueMs !== undefined) waiting.atMost(dueMs, at);
      },
      reset: () => waiting.clear(),
    },
  };
}

const VERSIONS = 'v';
const WAITING = 'w';
/** Between a key's text and a time; in no JSON. */
const SEPARATOR = '\u0001';

/** Elements of one key and time are one entry: of a key, many may wait. */
function waitingKey(text: string, timeMs: number): string {
  return `${WAITING}${text}${SEPARATOR}${timeMs}`;
}

function parted(at: string): { text: string; timeMs: number } {
  const end = at.lastIndexOf(SEPARATOR);
  return { text: at.slice(WAITING.length, end), timeMs: Number(at.slice(end + 1)) };
}

function rowAt(versions: readonly Version[], timeMs: number): unknown {
  const version = versions.findLast(([sinceMs]) => (sinceMs ?? -Infinity) <= timeMs);
  return version?.[1] ?? undefined;
}

/** Changes of a key come in their order, whatever their times: the last is what holds. */
function withVersion(
  versions: readonly Version[],
  sinceMs: number | null,
  row: unknown,
): readonly Version[] {
  const last = versions.at(-1);
  const lastMs = last?.[0] ?? null;
  // A row that is copied though it is known is as it is known, or newer.
  const atMs = sinceMs === null ? lastMs : Math.max(sinceMs, lastMs ?? -Infinity);
  const earlier = last !== undefined && lastMs === atMs ? versions.slice(0, -1) : versions;
  return [...earlier, [atMs, row ?? null]];
}

/** Without those that nobody asks for any more. */
function trimmed(versions: readonly Version[], beforeMs: number): readonly Version[] {
  const first = versions.findLastIndex(([sinceMs]) => (sinceMs ?? -Infinity) <= beforeMs);
  const kept = first <= 0 ? versions : versions.slice(first);
  return kept.length === 1 && kept[0]?.[1] === null && first >= 0 ? [] : kept;
}
