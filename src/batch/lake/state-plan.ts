import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import type {
  ChangeFile,
  LakeBase,
  LakeOffsets,
  LakeReset,
  LakeSchema,
  LakeTable,
} from './manifest.ts';
import type { UpTo } from './table-relation.ts';

/** Which files and which rows of them make up a table's state; what no file can hold is left out. */
export type StatePlan = Readonly<{
  base: LakeBase | undefined;
  /** What is in them counts as a whole. */
  whole: readonly ChangeFile[];
  /** Only rows inside `cut` count. */
  partly: readonly ChangeFile[];
  cut: Cut;
  /** By partition: rows whose last change stands before are gone. */
  resets: ReadonlyMap<number, number>;
  /** Whose columns the state has. */
  schema: LakeSchema;
  /** Lake names of columns whose values some change left out. */
  unavailable: ReadonlySet<string>;
}>;

export type Cut = Readonly<{
  /** By partition; nothing: from the first. */
  from: LakeOffsets;
  /** By partition; a partition that isn't named has no rows. Undefined: without end. */
  to: LakeOffsets | undefined;
  timeMs: number | undefined;
}>;

/**
 * The newest base at or before the wanted position, and the changes between the two. Columns are
 * today's, or those that the table had by then. Throws `lake_horizon`.
 */
export function planState(
  table: LakeTable,
  upTo: UpTo | undefined,
  columns: 'today' | 'then',
): StatePlan {
  const timeMs = upTo !== undefined && 'timeMs' in upTo ? upTo.timeMs : undefined;
  const to = upTo !== undefined && 'offsets' in upTo ? upTo.offsets : undefined;
  refuseBeforeOtherKey(table, to, timeMs);
  const base = table.bases.findLast((each) => isBefore(each, to, timeMs));
  if (base === undefined) refuseBeforeHorizon(table, to, timeMs);
  const cut: Cut = { from: base?.offsets ?? {}, to, timeMs };
  const files = table.changes.filter((file) => touches(file, cut));
  const resets = new Map<number, number>();
  for (const each of table.resets) {
    if (each.at < (base?.offsets[each.partition] ?? 0)) continue;
    if (!isTakenIn(each, to, timeMs)) continue;
    resets.set(each.partition, Math.max(each.offset, resets.get(each.partition) ?? 0));
  }
  const unavailable = new Set(files.flatMap((file) => file.unavailable));
  // Left-out values may stand before a copy that kept their rows; without such values, nothing there matters.
  const needed = unavailable.size > 0 ? files : files.filter((file) => !isGone(file, resets));
  const newest = columns === 'today' ? table.schemas.length - 1 : newestSchema(base, files, table);
  return {
    base,
    whole: needed.filter((file) => isInside(file, cut)),
    partly: needed.filter((file) => !isInside(file, cut)),
    cut,
    resets,
    schema: must(table.schemas[newest], 'a table in the lake has columns'),
    unavailable,
  };
}

function isBefore(
  base: LakeBase,
  to: LakeOffsets | undefined,
  timeMs: number | undefined,
): boolean {
  if (timeMs !== undefined) return base.maxTimeMs <= timeMs;
  if (to === undefined) return true;
  return Object.entries(base.offsets).every(([partition, at]) => at <= (to[partition] ?? 0));
}

/** Whether a state up to there knows of the reset. */
export function isTakenIn(
  { partition, at, timeMs: atMs }: LakeReset,
  to: LakeOffsets | undefined,
  timeMs?: number,
): boolean {
  if (timeMs !== undefined) return atMs <= timeMs;
  return to === undefined || at < (to[partition] ?? 0);
}

function refuseBeforeOtherKey(
  { topic, resets }: LakeTable,
  to: LakeOffsets | undefined,
  timeMs: number | undefined,
): void {
  const later = resets.find((each) => each.cause === 'key' && !isTakenIn(each, to, timeMs));
  if (later === undefined) return;
  throw new MillraceError('lake_horizon', {
    table: topic,
    asked: timeMs === undefined ? (to ?? null) : new Date(timeMs).toISOString(),
    earliest: new Date(later.timeMs).toISOString(),
    because: 'its rows were told apart by another key before',
  });
}

function refuseBeforeHorizon(
  { topic, floor, bases, changes }: LakeTable,
  to: LakeOffsets | undefined,
  timeMs: number | undefined,
): void {
  const horizonMs =
    floor === undefined
      ? Math.min(...changes.map((file) => file.minTimeMs))
      : (bases[0]?.maxTimeMs ?? Number.POSITIVE_INFINITY);
  if (timeMs !== undefined && timeMs < horizonMs && Number.isFinite(horizonMs))
    throw new MillraceError('lake_horizon', {
      table: topic,
      asked: new Date(timeMs).toISOString(),
      earliest: new Date(horizonMs).toISOString(),
    });
  if (floor !== undefined)
    throw new MillraceError('lake_horizon', {
      table: topic,
      asked: to ?? null,
      earliest: floor,
    });
}

/** Whether some row of the file may count. */
function touches(file: ChangeFile, { from, to, timeMs }: Cut): boolean {
  if (timeMs !== undefined && file.minTimeMs > timeMs) return false;
  return Object.entries(file.offsets).some(
    ([partition, [first, last]]) =>
      last >= (from[partition] ?? 0) && (to === undefined || first < (to[partition] ?? 0)),
  );
}

/** Whether all rows of the file count. Times of files are whole milliseconds, those of rows finer. */
function isInside(file: ChangeFile, { from, to, timeMs }: Cut): boolean {
  if (timeMs !== undefined && file.maxTimeMs >= timeMs) return false;
  return Object.entries(file.offsets).every(
    ([partition, [first, last]]) =>
      first >= (from[partition] ?? 0) && (to === undefined || last < (to[partition] ?? 0)),
  );
}

function isGone(file: ChangeFile, resets: ReadonlyMap<number, number>): boolean {
  return Object.entries(file.offsets).every(
    ([partition, [, last]]) => last < (resets.get(Number(partition)) ?? 0),
  );
}

function newestSchema(
  base: LakeBase | undefined,
  files: readonly ChangeFile[],
  { schemas }: LakeTable,
): number {
  const used = [...(base === undefined ? [] : [base.schema]), ...files.map((file) => file.schema)];
  return used.length === 0 ? schemas.length - 1 : Math.max(...used);
}
