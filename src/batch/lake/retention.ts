import type { SqlEngine } from '../../ports/sql-engine.ts';
import { sqlString, sqlTimestamp } from '../models/literal.ts';
import { writeBase } from './base-file.ts';
import { isBefore, isLog, isSince } from './compaction-plan.ts';
import type { Lake } from './lake.ts';
import { isTakenIn } from './state-plan.ts';
import type { LakeBase, LakeOffsets, LakeTable } from './manifest.ts';
import { commitTable } from './table-commit.ts';

const DAY_MS = 24 * 60 * 60_000;

type Retention = Readonly<{ retentionMs: number; nowMs: number }>;

/** Whether some file has nothing that needs to be kept. */
export function hasOldChanges({ changes }: LakeTable, retention: Retention): boolean {
  const horizonMs = horizonOf(retention);
  return changes.some(({ maxTimeMs }) => maxTimeMs < horizonMs);
}

/**
 * Drops the change files of days before the horizon, once a base tells what they amounted to; so a
 * table can be read as of any time from the horizon on. Returns how many were dropped.
 */
export async function dropOldChanges(
  lake: Lake,
  engine: SqlEngine,
  topic: string,
  retention: Retention,
  signal: AbortSignal,
): Promise<number> {
  const table = (await lake.manifest()).tables[topic];
  const horizonMs = horizonOf(retention);
  if (table === undefined || !hasOldChanges(table, retention)) return 0;
  if (isLog(table)) return dropFiles(lake, topic, (file) => file.maxTimeMs < horizonMs);
  const floor = await offsetsAt(lake, engine, table, horizonMs, signal);
  if (!table.changes.some((file) => !isSince(file, floor))) return 0;
  // Rows of before another key can't be written down; they go once the horizon has passed it.
  if (table.resets.some((each) => each.cause === 'key' && !isTakenIn(each, floor))) return 0;
  const base =
    table.bases.find(({ offsets }) => isBefore(offsets, floor) && isBefore(floor, offsets)) ??
    (await writeBase(lake, engine, { ...table, offsets: floor }, horizonMs, signal));
  return dropFiles(lake, topic, (file) => !isSince(file, floor), { floor, base });
}

/** By partition, the first offset of a change that was committed at the time or later. */
async function offsetsAt(
  lake: Lake,
  engine: SqlEngine,
  { changes, offsets }: LakeTable,
  timeMs: number,
  signal: AbortSignal,
): Promise<LakeOffsets> {
  const found: Record<string, number> = { ...offsets };
  const take = (partition: string, offset: number): void => {
    found[partition] = Math.min(offset, found[partition] ?? offset);
  };
  const unclear: string[] = [];
  for (const file of changes) {
    if (file.maxTimeMs < timeMs) continue;
    if (file.minTimeMs < timeMs) unclear.push(sqlString(lake.path(file.path)));
    else for (const [partition, [first]] of Object.entries(file.offsets)) take(partition, first);
  }
  if (unclear.length > 0) {
    const { rows } = await engine.query(
      `SELECT __partition, MIN(__offset) FROM read_parquet([${unclear.join(', ')}], union_by_name = true, hive_partitioning = false) WHERE __commit_time >= ${sqlTimestamp(timeMs)} GROUP BY __partition`,
      [],
      signal,
    );
    for (const [partition, offset] of rows) take(`${Number(partition)}`, Number(offset));
  }
  return found;
}

async function dropFiles(
  lake: Lake,
  topic: string,
  isOld: (file: LakeTable['changes'][number]) => boolean,
  from?: Readonly<{ floor: LakeOffsets; base: LakeBase }>,
): Promise<number> {
  let dropped = 0;
  const isDone = await commitTable(lake, topic, [], (table, removed) => {
    // Forgotten in between, or read again from the log's start.
    if (from !== undefined && !isBefore(from.floor, table.offsets)) return undefined;
    const old = table.changes.filter(isOld);
    dropped = old.length;
    removed.push(...old.map(({ path }) => path));
    const changes = table.changes.filter((file) => !isOld(file));
    if (from === undefined) return { ...table, changes };
    const { floor, base } = from;
    const later = table.bases.filter(
      ({ offsets }) => isBefore(floor, offsets) && !isBefore(offsets, floor),
    );
    const bases = [base, ...later];
    for (const { files } of table.bases)
      for (const { path } of files)
        if (!bases.some((kept) => kept.files.some((each) => each.path === path)))
          removed.push(path);
    const resets = table.resets.filter(({ partition, at }) => at >= (floor[partition] ?? 0));
    return { ...table, changes, bases, resets, floor };
  });
  return isDone ? dropped : 0;
}

/** Whole days, so that a base is written once a day and not for every file. */
function horizonOf({ retentionMs, nowMs }: Retention): number {
  return Math.floor((nowMs - retentionMs) / DAY_MS) * DAY_MS;
}
