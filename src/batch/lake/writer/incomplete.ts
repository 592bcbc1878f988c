import type { LakeIncomplete } from '../manifest.ts';

/** Topics of the tables of which some rows are still to be copied. */
export type CopiesLeft = 'all' | ReadonlySet<string>;

export type Turn = Readonly<{
  topic: string;
  /** As of before. */
  known: LakeIncomplete | undefined;
  /** Nothing of it was in the lake before. */
  isNew: boolean;
  /** All is read that was in the log when `left` was asked for. */
  isAtEnd: boolean;
  /** Why a copy of it was asked for in this turn. */
  asked: 'gap' | 'key' | 'values' | undefined;
  /** Undefined: it can't be known. */
  left: CopiesLeft | undefined;
  nowMs: number;
}>;

/**
 * Whether rows of a table are still to come by a copy, after a turn of the writer; undefined when
 * they are all there, or nobody could say when they will be.
 *
 * What was asked for may stand behind copies that are under way, and shows among what is left only
 * after them: so a table that waits for it is complete when nothing at all is left.
 */
export function incompleteAfter(turn: Turn): LakeIncomplete | undefined {
  const { topic, known, isNew, isAtEnd, asked, left, nowMs } = turn;
  if (left === undefined) return undefined;
  const isLeft = left === 'all' || left.has(topic);
  const wasAsked = known !== undefined && known.cause !== 'copy';
  const waitsBehind = wasAsked && (left === 'all' || left.size > 0);
  // Its copy may have ended, but the first part of what it brought is no table.
  const isPartlyRead = !isAtEnd && (isNew || known !== undefined);
  if (asked === undefined && !isLeft && !waitsBehind && !isPartlyRead) return undefined;
  return { sinceMs: known?.sinceMs ?? nowMs, cause: asked ?? known?.cause ?? 'copy' };
}

export function bothLeft(a: CopiesLeft, b: CopiesLeft | undefined): CopiesLeft {
  if (b === undefined) return a;
  return a === 'all' || b === 'all' ? 'all' : new Set([...a, ...b]);
}
