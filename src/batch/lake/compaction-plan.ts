import type { ChangeFile, LakeBase, LakeOffsets, LakeTable, Manifest } from './manifest.ts';

/* What is worth rewriting. No I/O: the manifest says it all. */

export type CompactionPolicy = Readonly<{
  /** A new base when the changes since the newest one are more than this share of its rows… */
  baseShare: number;
  /** … and at least so many. */
  baseMinRows: number;
  /** So many files of a day and like size become one. */
  mergeCount: number;
  /** Files are merged up to about this size. */
  mergeBytes: number;
}>;

/**
 * Measured: a million changes on ten million rows cost a third of a second to read; so a fifth of
 * them at most stands beside a base. Each change is rewritten about once for each factor of eight.
 */
export const COMPACTION: CompactionPolicy = {
  baseShare: 0.2,
  baseMinRows: 20_000,
  mergeCount: 8,
  mergeBytes: 128 << 20,
};

/** For who asks for it: everything that can be joined, and a base of all that changed. */
export const COMPACT_ALL: CompactionPolicy = {
  baseShare: 0,
  baseMinRows: 1,
  mergeCount: 2,
  mergeBytes: 512 << 20,
};

const SMALLEST_TIER_BYTES = 256 << 10;

/**
 * Groups of change files that become one each: of one day and one set of columns, and of like size,
 * so that a file is not written again for every small one that comes; a day that is over is joined
 * whatever the sizes.
 */
export function mergesOf(
  { changes }: LakeTable,
  { mergeCount, mergeBytes }: CompactionPolicy,
  today: string,
): (readonly ChangeFile[])[] {
  const small = changes.filter(({ bytes }) => bytes < mergeBytes / 2);
  const groups = Map.groupBy(small, ({ day, schema, bytes }) =>
    [day, schema, day < today ? '' : tierOf(bytes, mergeCount)].join(' '),
  );
  return [...groups.values()].flatMap((group) => {
    const isOver = (group[0]?.day ?? today) < today;
    return chunks(group, mergeBytes).filter((chunk) => chunk.length >= (isOver ? 2 : mergeCount));
  });
}

/** Whether the table's rows should be written down anew. */
export function needsBase(table: LakeTable, { baseShare, baseMinRows }: CompactionPolicy): boolean {
  if (isLog(table)) return false;
  const { bases, changes } = table;
  const base = bases.at(-1);
  const since = changes.filter((file) => isSince(file, base?.offsets ?? {}));
  const rows = since.reduce((total, file) => total + file.rows, 0);
  return rows > 0 && rows >= baseMinRows && rows >= baseShare * (base?.rows ?? 0);
}

/** Logical messages belong to no table of the source: they are facts, and have no state. */
export function isLog({ schema }: LakeTable): boolean {
  return schema === '';
}

/**
 * Bases that are still of use: the newest, the oldest for times up to the horizon, and for each
 * model the newest that is not newer than what it has read.
 */
export function neededBases(
  { topic, bases }: LakeTable,
  models: Manifest['models'],
): readonly LakeBase[] {
  const read = Object.values(models).flatMap(({ inputs }) => {
    const offsets = inputs[topic];
    return offsets === undefined ? [] : [offsets];
  });
  const needed = new Set([
    bases[0],
    bases.at(-1),
    ...read.map((offsets) => bases.findLast((base) => isBefore(base.offsets, offsets))),
  ]);
  return bases.filter((base) => needed.has(base));
}

export function isBefore(a: LakeOffsets, b: LakeOffsets): boolean {
  return Object.entries(a).every(([partition, offset]) => offset <= (b[partition] ?? 0));
}

/** Whether the file has changes at or after the offsets. */
export function isSince({ offsets }: ChangeFile, from: LakeOffsets): boolean {
  return Object.entries(offsets).some(([partition, [, last]]) => last >= (from[partition] ?? 0));
}

function tierOf(bytes: number, factor: number): number {
  return Math.max(0, Math.ceil(Math.log(bytes / SMALLEST_TIER_BYTES) / Math.log(factor)));
}

function chunks(files: readonly ChangeFile[], maxBytes: number): ChangeFile[][] {
  const made: ChangeFile[][] = [];
  let room = 0;
  for (const file of files) {
    if (room < file.bytes) {
      made.push([]);
      room = maxBytes;
    }
    made.at(-1)?.push(file);
    room -= file.bytes;
  }
  return made;
}
