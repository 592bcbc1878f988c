import { rename, rm } from 'node:fs/promises';
import { extname } from 'node:path';
import { compact, type CompactionStep } from '../../batch/lake/compaction.ts';
import { COMPACT_ALL } from '../../batch/lake/compaction-plan.ts';
import { copyingWarning } from '../../batch/lake/copying-text.ts';
import { stateSql } from '../../batch/lake/history.ts';
import type { LakeColumn, LakeIncomplete, LakeTable, Manifest } from '../../batch/lake/manifest.ts';
import { sqlString } from '../../batch/models/literal.ts';
import { findTable } from '../../batch/run/source-table.ts';
import { MillraceError } from '../../domain/errors.ts';
import { checkTargetFile } from '../target-file.ts';
import { type BatchPlaces, openEngine, openLakeThere } from './open.ts';

/** What the lake has of a table, or of the logical messages. */
export type ListedTable = Readonly<{
  /** Such as `public.orders`. */
  table: string;
  topic: string;
  key: readonly string[];
  columns: readonly Pick<LakeColumn, 'name' | 'type'>[];
  changes: number;
  changeFiles: number;
  /** Rows that are written down as they were at some position; undefined: none yet. */
  baseRows?: number;
  bases: number;
  bytes: number;
  /** As of when the table can be read, from then on; undefined: it has no changes. */
  fromMs?: number;
  /** Of the newest change. */
  toMs?: number;
  /** Next offset, by partition. */
  offsets: Readonly<Record<string, number>>;
  /** Changes that were lost. */
  missing: number;
  /** Rows of it are still to come by a copy. */
  incomplete?: LakeIncomplete;
}>;

/** Those named, or all. Throws `lake_table_unknown`. */
export async function listTables(
  places: BatchPlaces,
  name: string | undefined,
): Promise<readonly ListedTable[]> {
  const manifest = await (await openLakeThere(places)).manifest();
  const tables = name === undefined ? Object.values(manifest.tables) : [tableOf(manifest, name)];
  return tables.map(listed).toSorted((a, b) => (a.table < b.table ? -1 : 1));
}

function listed(table: LakeTable): ListedTable {
  const { topic, key, schemas, changes, bases, offsets, gaps = [], floor, incomplete } = table;
  const files = [...changes, ...bases.flatMap((base) => base.files)];
  const from =
    floor === undefined ? changes.map(({ minTimeMs }) => minTimeMs) : [bases[0]?.maxTimeMs ?? 0];
  const to = [...changes, ...bases].map(({ maxTimeMs }) => maxTimeMs);
  const baseRows = bases.at(-1)?.rows;
  return {
    table: nameOf(table),
    topic,
    key,
    columns: (schemas.at(-1)?.columns ?? []).map(({ name, type }) => ({ name, type })),
    changes: sum(changes.map(({ rows }) => rows)),
    changeFiles: changes.length,
    ...(baseRows !== undefined && { baseRows }),
    bases: bases.length,
    bytes: sum(files.map(({ bytes }) => bytes)),
    ...(from.length > 0 && { fromMs: Math.min(...from) }),
    ...(to.length > 0 && { toMs: Math.max(...to) }),
    offsets,
    missing: sum(gaps.map(({ from: first, to: next }) => next - first)),
    ...(incomplete !== undefined && { incomplete }),
  };
}

/** Throws `lake_busy`, `lake_table_unknown`, `lake_file_damaged` and `disk_full`. */
export async function compactLake(
  places: BatchPlaces,
  name: string | undefined,
  onStep: (step: CompactionStep) => void,
  signal: AbortSignal,
): Promise<void> {
  const lake = await openLakeThere(places);
  const manifest = await lake.manifest();
  const topics = name === undefined ? undefined : [tableOf(manifest, name).topic];
  await using engine = await openEngine(places);
  await compact(
    lake,
    engine,
    {
      policy: COMPACT_ALL,
      ...(topics !== undefined && { topics }),
      retentionMs: places.lake.retentionMs,
      nowMs: Date.now(),
    },
    onStep,
    signal,
  );
}

/** `to`: an absolute path. */
export type Export = Readonly<{
  table: string;
  /** Undefined: now. */
  timeMs: number | undefined;
  to: string;
}>;

const FORMATS: Readonly<Record<string, string>> = {
  '.parquet': 'FORMAT parquet, COMPRESSION zstd',
  '.csv': 'FORMAT csv, HEADER',
  '.json': 'FORMAT json, ARRAY true',
  '.jsonl': 'FORMAT json',
  '.ndjson': 'FORMAT json',
};

/** Writes the rows of a table to a file, whose ending tells the format; it is there once it is whole. */
export async function exportTable(
  places: BatchPlaces,
  { table: name, timeMs, to }: Export,
  signal: AbortSignal,
): Promise<Readonly<{ rows: number; warning?: string }>> {
  const format = FORMATS[extname(to).toLowerCase()];
  if (format === undefined)
    throw new MillraceError('usage', {
      expected: `a file that ends with ${Object.keys(FORMATS).join(', ')}`,
      found: to,
    });
  await checkTargetFile(to);
  const lake = await openLakeThere(places);
  const table = tableWithRowsOf(await lake.manifest(), name);
  await using engine = await openEngine(places);
  const sql = await stateSql(lake, engine, table, { timeMs }, signal);
  const draft = `${to}.${process.pid}.part`;
  try {
    const rows = await engine.run(`COPY (${sql}) TO ${sqlString(draft)} (${format})`, signal);
    await rename(draft, to);
    const warning = copyingWarning(table, timeMs);
    return { rows, ...(warning !== undefined && { warning }) };
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * Drops a table from the lake, files and history: the writer then writes it anew from where the log
 * begins. Throws `lake_table_unknown`.
 */
export async function forgetTable(places: BatchPlaces, name: string): Promise<ListedTable> {
  const lake = await openLakeThere(places);
  const { topic } = tableOf(await lake.manifest(), name);
  let forgotten: LakeTable | undefined;
  await lake.commit((manifest) => {
    const { [topic]: table, ...tables } = manifest.tables;
    forgotten = table;
    if (table === undefined) return manifest;
    const atMs = Date.now();
    const files = [...table.changes, ...table.bases.flatMap((base) => base.files)];
    const removed = files.map(({ path }) => ({ path, atMs }));
    return { ...manifest, tables, removed: [...manifest.removed, ...removed] };
  });
  if (forgotten === undefined) throw unknown(name, await lake.manifest());
  return listed(forgotten);
}

/** As `tableOf`; one of which no row was ever seen has no columns to show. Throws `lake_table_unknown`. */
export function readableTableOf(manifest: Manifest, name: string): LakeTable {
  const table = tableOf(manifest, name);
  if (table.schemas.length === 0) throw unknown(name, manifest);
  return table;
}

/** As `readableTableOf`; throws `usage` for the logical messages, which have changes and no rows. */
export function tableWithRowsOf(manifest: Manifest, name: string): LakeTable {
  const table = readableTableOf(manifest, name);
  if (table.schema !== '') return table;
  throw new MillraceError('usage', {
    expected: 'a table, which has rows; messages are read with `millrace sql "FROM lake.messages"`',
    found: `${name}, the logical messages`,
  });
}

/** By `orders`, `public.orders`, or the topic. Throws `lake_table_unknown`. */
function tableOf(manifest: Manifest, name: string): LakeTable {
  const table = manifest.tables[name] ?? findTable(manifest, name);
  if (table === undefined) throw unknown(name, manifest);
  return table;
}

function unknown(name: string, { tables }: Manifest): MillraceError {
  const known = Object.values(tables).map(nameOf);
  return new MillraceError('lake_table_unknown', {
    table: name,
    found: known.length === 0 ? 'no table yet' : known.toSorted().join(', '),
  });
}

function nameOf({ schema, name }: LakeTable): string {
  return schema === '' ? name : `${schema}.${name}`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
