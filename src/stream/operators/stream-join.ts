import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import { given, keyText, type Operator, type OperatorContext } from './operator.ts';
import { TimeIndex } from './time-index.ts';

export type JoinType = 'inner' | 'left' | 'outer';

/** Elements meet whose times are no further apart: the other's is at most so much before, or after. */
export type StreamJoinWindow = Readonly<{ beforeMs: number; afterMs: number; graceMs: number }>;

type Joiner = (left: unknown, right: unknown, key: unknown) => unknown;

/** An element that waits for others: [time, value], and a 1 once it has met one. */
type Waiting = readonly [timeMs: number, value: unknown, hasMet?: 1];

/** Two streams, element by element of the same key, within a window of time. */
export function streamJoinOperator(
  inputs: readonly [left: Edge, right: Edge],
  window: StreamJoinWindow,
  type: JoinType,
  joiner: Joiner,
  name: string | undefined,
): NodeSpec {
  const { beforeMs, afterMs, graceMs } = window;
  const bucketMs = Math.max(beforeMs + afterMs, 1);
  return {
    name,
    kind: 'join',
    inputs,
    placement: 'by-key',
    isStateful: true,
    isTimed: true,
    // One that met none is put out when its whole bucket goes.
    delays: type === 'inner' ? {} : { '': bucketMs + Math.max(beforeMs, afterMs) + graceMs },
    settings: { type, beforeMs, afterMs, graceMs },
    open: (context) => openJoin(window, bucketMs, type, joiner, context),
  };
}

/*
 * State: the elements of one side, key and bucket of time are one entry, so that meeting others
 * takes two entries, and leaving one. Buckets are as wide as the window: no window spans three.
 */
function openJoin(
  { beforeMs, afterMs, graceMs }: StreamJoinWindow,
  bucketMs: number,
  type: JoinType,
  joiner: Joiner,
  { emit: output, state, watermarkMs, countLate }: OperatorContext,
): Operator {
  const emit = output();
  const late = [output('late-left'), output('late-right')];
  const waiting = new TimeIndex();
  /** How far after an element the others may be that it meets. */
  const reach = (side: number): number => (side === 0 ? afterMs : beforeMs);
  /** The last time at which an element of the bucket may meet one, with the grace. */
  const dueMs = (side: number, bucket: number): number => bucket + bucketMs + reach(side) + graceMs;
  const bucketOf = (timeMs: number): number => Math.floor(timeMs / bucketMs) * bucketMs;
  const bucketsAround = (side: number, timeMs: number): number[] => {
    const first = bucketOf(timeMs - reach(1 - side));
    const last = bucketOf(timeMs + reach(side));
    const buckets: number[] = [];
    for (let bucket = first; bucket <= last; bucket += bucketMs) buckets.push(bucket);
    return buckets;
  };
  const join = (side: number, own: unknown, other: unknown, key: unknown): unknown =>
    given(side === 0 ? joiner(own, other, key) : joiner(other, own, key));
  const tellsUnmet = (side: number): boolean => type === 'outer' || (type === 'left' && side === 0);

  return {
    probe(side, key, _value, timeMs) {
      const text = keyText(key);
      state.want(entryKey(text, side, bucketOf(timeMs)));
      for (const bucket of bucketsAround(side, timeMs)) {
        state.want(entryKey(text, 1 - side, bucket));
      }
    },

    accept(side, key, value, timeMs) {
      if (timeMs + reach(side) + graceMs < watermarkMs()) {
        countLate();
        late[side]?.(key, value, timeMs);
        return;
      }
      const text = keyText(key);
      let hasMet = false;
      for (const bucket of bucketsAround(side, timeMs)) {
        const at = entryKey(text, 1 - side, bucket);
        const others = state.get(at) as readonly Waiting[] | undefined;
        if (others === undefined) continue;
        const meets = others.map(
          ([time]) => time >= timeMs - reach(1 - side) && time <= timeMs + reach(side),
        );
        if (!meets.includes(true)) continue;
        hasMet = true;
        if (
          tellsUnmet(1 - side) &&
          others.some((other, n) => meets[n] === true && other[2] !== 1)
        ) {
          state.set(
            at,
            others.map((other, n) => (meets[n] === true ? [other[0], other[1], 1] : other)),
          );
        }
        for (const [n, [time, other]] of others.entries()) {
          if (meets[n] === true) emit?.(key, join(side, value, other, key), Math.max(time, timeMs));
        }
      }
      const bucket = bucketOf(timeMs);
      const at = entryKey(text, side, bucket);
      const before = state.get(at) as readonly Waiting[] | undefined;
      const own: Waiting = hasMet ? [timeMs, value, 1] : [timeMs, value];
      state.set(at, [...(before ?? []), own]);
      if (before === undefined) waiting.add(dueMs(side, bucket), at);
    },

    timer: {
      nextMs: () => waiting.nextMs(),
      due: (watermark, limit) => waiting.due(watermark, limit),
      fire(at) {
        const { side, bucket, key } = parted(at);
        const left = state.get(at) as readonly Waiting[] | undefined;
        if (left !== undefined) {
          state.set(at, undefined);
          if (tellsUnmet(side)) {
            for (const [timeMs, value, hasMet] of left.toSorted(([a], [b]) => a - b)) {
              if (hasMet !== 1) emit?.(key, join(side, value, undefined, key), timeMs);
            }
          }
        }
        waiting.remove(dueMs(side, bucket), at);
      },
      drop(at) {
        const { side, bucket } = parted(at);
        state.set(at, undefined);
        waiting.remove(dueMs(side, bucket), at);
      },
      restore(at) {
        const { side, bucket } = parted(at);
        waiting.add(dueMs(side, bucket), at);
      },
      reset: () => waiting.clear(),
    },
  };
}

const SEPARATOR = '\u0001';

function entryKey(text: string, side: number, bucket: number): string {
  return `${text}${SEPARATOR}${side}${SEPARATOR}${bucket}`;
}

function parted(at: string): { key: unknown; side: number; bucket: number } {
  const [text = '', side, bucket] = at.split(SEPARATOR);
  return { key: JSON.parse(text), side: Number(side), bucket: Number(bucket) };
}
