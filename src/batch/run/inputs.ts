import { must } from '../../lib/must.ts';
import type { LakeOffsets, LakeTable } from '../lake/manifest.ts';

/**
 * How much of a source a model has read. An upstream model that was not made anew may have read less
 * of it than the model itself does: so at least `from`, and nothing past `to`.
 */
export type InputRange = Readonly<{ table: LakeTable; from: LakeOffsets; to: LakeOffsets }>;

/** By topic. */
export type Inputs = Readonly<Record<string, InputRange>>;

/** Of what reads both. */
export function bothInputs(a: Inputs, b: Inputs): Inputs {
  const topics = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries([...topics].map((topic) => [topic, bothRanges(a[topic], b[topic])]));
}

function bothRanges(a: InputRange | undefined, b: InputRange | undefined): InputRange {
  if (a === undefined || b === undefined) return must(a ?? b, 'one of them has the topic');
  return {
    table: a.table,
    from: eachOffset(a.from, b.from, Math.min),
    to: eachOffset(a.to, b.to, Math.max),
  };
}

function eachOffset(
  a: LakeOffsets,
  b: LakeOffsets,
  choose: (a: number, b: number) => number,
): LakeOffsets {
  const partitions = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries(
    [...partitions].map((partition) => [partition, choose(a[partition] ?? 0, b[partition] ?? 0)]),
  );
}

export function leastOf(inputs: Inputs): Readonly<Record<string, LakeOffsets>> {
  return Object.fromEntries(Object.entries(inputs).map(([topic, { from }]) => [topic, from]));
}

export function sameOffsets(a: LakeOffsets, b: LakeOffsets): boolean {
  return [...Object.keys(a), ...Object.keys(b)].every(
    (partition) => (a[partition] ?? 0) === (b[partition] ?? 0),
  );
}
