import { rm } from 'node:fs/promises';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import { sqlString } from '../models/literal.ts';
import {
  COMPACTION,
  type CompactionPolicy,
  isBefore,
  mergesOf,
  neededBases,
  needsBase,
} from './compaction-plan.ts';
import { writeBase } from './base-file.ts';
import { commitTable } from './table-commit.ts';
import type { Lake } from './lake.ts';
import type { ChangeFile, LakeBase, LakeTable } from './manifest.ts';
import { dropOldChanges, hasOldChanges } from './retention.ts';
import { isDue, removeOrphans, removeReplaced } from './rubbish.ts';
import { type WrittenFile, writeParquet } from './written-file.ts';

export type CompactionOptions = Readonly<{
  policy?: CompactionPolicy;
  /** Topics; undefined: all. */
  topics?: readonly string[];
  /** How long changes are kept. */
  retentionMs: number;
  nowMs: number;
}>;

/** One thing done: `merged`, `based` and `dropped` are of a table, `removed` is of the lake. */
export type CompactionStep = Readonly<
  | { did: 'merged'; topic: string; files: number; rows: number }
  | { did: 'based'; topic: string; rows: number }
  | { did: 'dropped'; topic: string; files: number }
  | { did: 'removed'; files: number }
>;

/**
 * Rewrites what a lake has so that it is quick to read, and drops what need not be kept. Nothing is
 * lost or changed for readers: each step is one commit, made when its files are on disk; a step that
 * dies leaves only files that nobody is told of. It goes on beside a writer and beside readers.
 *
 * Throws `lake_busy` when another is at it, and what the engine throws. Files that were replaced a
 * while ago go at the end, as do those that dead processes left.
 */
export async function compact(
  lake: Lake,
  engine: SqlEngine,
  { policy = COMPACTION, topics, retentionMs, nowMs }: CompactionOptions,
  onStep: (step: CompactionStep) => void,
  signal: AbortSignal,
): Promise<void> {
  using _lock = lake.lock('compaction');
  await removeOrphans(lake);
  for (const topic of topics ?? Object.keys((await lake.manifest()).tables)) {
    const dropped = await dropOldChanges(lake, engine, topic, { retentionMs, nowMs }, signal);
    if (dropped > 0) onStep({ did: 'dropped', topic, files: dropped });
    const table = (await lake.manifest()).tables[topic];
    if (table === undefined) continue;
    for (const files of mergesOf(table, policy, dayOf(nowMs))) {
      signal.throwIfAborted();
      const rows = await merge(lake, engine, table, files, signal);
      if (rows !== undefined) onStep({ did: 'merged', topic, files: files.length, rows });
    }
    if (needsBase(table, policy)) {
      const base = await rebase(lake, engine, topic, signal);
      if (base !== undefined) onStep({ did: 'based', topic, rows: base.rows });
    }
  }
  const removed = await removeReplaced(lake, nowMs);
  if (removed > 0) onStep({ did: 'removed', files: removed });
}

/** Whether `compact` would find anything to do, as far as the manifest tells. */
export async function isCompactionDue(
  lake: Lake,
  { policy = COMPACTION, retentionMs, nowMs }: CompactionOptions,
): Promise<boolean> {
  const { tables, removed } = await lake.manifest();
  const today = dayOf(nowMs);
  return (
    removed.some((file) => isDue(file, nowMs)) ||
    Object.values(tables).some(
      (table) =>
        hasOldChanges(table, { retentionMs, nowMs }) ||
        mergesOf(table, policy, today).length > 0 ||
        needsBase(table, policy),
    )
  );
}

/** One file of several, in the order of offsets. Undefined when some of them are gone by now. */
async function merge(
  lake: Lake,
  engine: SqlEngine,
  { topic }: LakeTable,
  files: readonly ChangeFile[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const [first] = files;
  if (first === undefined) return undefined;
  const paths = files.map(({ path }) => sqlString(lake.path(path))).join(', ');
  const select = `SELECT * FROM read_parquet([${paths}], hive_partitioning = false) ORDER BY __partition, __offset`;
  const folder = `changes/${topic}/day=${first.day}`;
  const written = await writeParquet(lake, engine, folder, select, signal);
  const merged = joined(files, written);
  const old = new Set(files.map(({ path }) => path));
  const isDone = await commitTable(lake, topic, [...old], (table) => {
    if (files.some(({ path }) => !table.changes.some((each) => each.path === path)))
      return undefined;
    // Where the first of them stood, so that the order stays.
    const changes = table.changes.flatMap((each) =>
      each.path === first.path ? [merged] : old.has(each.path) ? [] : [each],
    );
    return { ...table, changes };
  });
  if (isDone) return written.rows;
  await rm(lake.path(written.path), { force: true });
  return undefined;
}

function joined(files: readonly ChangeFile[], { path, rows, bytes }: WrittenFile): ChangeFile {
  const offsets: Record<string, readonly [number, number]> = {};
  for (const file of files)
    for (const [partition, [first, last]] of Object.entries(file.offsets)) {
      const [min, max] = offsets[partition] ?? [first, last];
      offsets[partition] = [Math.min(min, first), Math.max(max, last)];
    }
  return {
    path,
    schema: files[0]?.schema ?? 0,
    day: files[0]?.day ?? '',
    rows,
    bytes,
    offsets,
    minTimeMs: Math.min(...files.map(({ minTimeMs }) => minTimeMs)),
    maxTimeMs: Math.max(...files.map(({ maxTimeMs }) => maxTimeMs)),
    unavailable: [...new Set(files.flatMap(({ unavailable }) => unavailable))],
  };
}

/** Writes down the table's rows at the offsets that the lake has reached. */
async function rebase(
  lake: Lake,
  engine: SqlEngine,
  topic: string,
  signal: AbortSignal,
): Promise<LakeBase | undefined> {
  const { tables, models } = await lake.manifest();
  const table = tables[topic];
  if (table === undefined) return undefined;
  const times = [...table.changes, ...table.bases].map(({ maxTimeMs }) => maxTimeMs);
  const base = await writeBase(lake, engine, table, Math.max(...times) + 1, signal);
  const { resets } = table;
  const isDone = await commitTable(lake, topic, [], (now, removed) => {
    // Forgotten in between, or read again from the log's start.
    if (!isBefore(base.offsets, now.offsets) || now.resets.length < resets.length) return undefined;
    const bases = neededBases({ ...now, bases: [...now.bases, base] }, models);
    for (const old of now.bases)
      if (!bases.includes(old)) removed.push(...old.files.map(({ path }) => path));
    return { ...now, bases };
  });
  if (isDone) return base;
  for (const { path } of base.files) await rm(lake.path(path), { force: true });
  return undefined;
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
