import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { SqlEngine } from '../../../ports/sql-engine.ts';
import { sqlString } from '../../models/literal.ts';
import { flushFile, flushFolder } from '../../../lib/flush-file.ts';
import type { Lake } from '../lake.ts';
import type { ChangeFile } from '../manifest.ts';
import { fileFailure } from './event-file.ts';

/** Files of the writer's own among those of others, such as compaction's. */
export const APPENDED = 'append-';

/** What a change file holds beside its rows. */
export type WrittenChanges = Readonly<{
  files: readonly ChangeFile[];
  rows: number;
  /** Rows with values that did not fit. */
  unfit: number;
  /** Rows of copies that are no incremental ones. */
  copied: number;
  truncates: readonly Readonly<{ partition: number; offset: number; timeMs: number }>[];
}>;

/**
 * Writes the rows of a SELECT as change files, one a day, flushed to disk; no manifest names them
 * yet. When it fails, nothing is left.
 */
export async function writeChangeFiles(
  lake: Lake,
  engine: SqlEngine,
  {
    select,
    topic,
    schema,
    dir,
  }: Readonly<{
    select: string;
    topic: string;
    schema: number;
    /** For files while they are written. */
    dir: string;
  }>,
  signal: AbortSignal,
): Promise<WrittenChanges> {
  const staged = join(dir, `${randomUUID()}.parquet`);
  const placed: string[] = [];
  try {
    await copyTo(engine, select, staged, signal);
    const groups = await groupsOf(engine, staged, signal);
    const days = [...Map.groupBy(groups, ({ day }) => day)];
    const files: ChangeFile[] = [];
    for (const [day, ofDay] of days) {
      const path = `changes/${topic}/day=${day}/${APPENDED}${randomUUID()}.parquet`;
      placed.push(path);
      await place(lake, engine, staged, path, days.length > 1 ? day : undefined, signal);
      const unavailable = ofDay.some(({ unavailable: count }) => count > 0)
        ? await namesIn(engine, lake.path(path), '__unavailable', signal)
        : [];
      files.push(await changeFile(lake, { path, schema, day, unavailable }, ofDay));
    }
    return {
      files,
      rows: sum(groups, ({ rows }) => rows),
      unfit: sum(groups, ({ unfit }) => unfit),
      copied: sum(groups, ({ copied }) => copied),
      truncates: groups.some(({ truncates }) => truncates > 0)
        ? await truncatesIn(lake, engine, placed, signal)
        : [],
    };
  } catch (error) {
    for (const path of placed) await rm(lake.path(path), { force: true });
    throw fileFailure(error, lake.dir);
  } finally {
    await rm(staged, { force: true });
  }
}

/** Removes files that no manifest names. */
export async function discardFiles(lake: Lake, files: readonly ChangeFile[]): Promise<void> {
  for (const { path } of files) await rm(lake.path(path), { force: true });
}

async function copyTo(
  engine: SqlEngine,
  select: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  await engine.run(
    `COPY (${select}) TO ${sqlString(path)} (FORMAT parquet, COMPRESSION zstd)`,
    signal,
  );
}

/** Gives the staged file, or one day of it, its place. */
async function place(
  lake: Lake,
  engine: SqlEngine,
  staged: string,
  path: string,
  day: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const target = lake.path(path);
  const made = await mkdir(dirname(target), { recursive: true });
  if (day === undefined) await rename(staged, target);
  else {
    const select = `SELECT * FROM read_parquet(${sqlString(staged)}) WHERE CAST(__commit_time AS DATE) = DATE ${sqlString(day)}`;
    await copyTo(engine, select, target, signal);
  }
  await flushFile(target);
  // Each new folder's name stands in the one above it.
  if (made === undefined) return;
  for (let dir = dirname(dirname(target)); dir.length >= dirname(made).length; dir = dirname(dir))
    await flushFolder(dir);
}

type Group = Readonly<{
  day: string;
  partition: number;
  rows: number;
  first: number;
  last: number;
  minUs: number;
  maxUs: number;
  unfit: number;
  unavailable: number;
  copied: number;
  truncates: number;
}>;

async function groupsOf(engine: SqlEngine, file: string, signal: AbortSignal): Promise<Group[]> {
  const { rows } = await engine.query(
    `SELECT CAST(CAST(__commit_time AS DATE) AS VARCHAR), __partition, count(*), min(__offset), max(__offset),
      epoch_us(min(__commit_time)), epoch_us(max(__commit_time)), count(__unfit), count(__unavailable),
      count(*) FILTER (__op = 'r' AND __tx IS NOT NULL), count(*) FILTER (__op = 't')
    FROM read_parquet(${sqlString(file)}) GROUP BY ALL ORDER BY 1, 2`,
    [],
    signal,
  );
  return rows.map(([day, ...numbers]) => {
    const [partition = 0, count = 0, first = 0, last = 0, minUs = 0, maxUs = 0, ...counts] =
      numbers.map(Number);
    const [unfit = 0, unavailable = 0, copied = 0, truncates = 0] = counts;
    const kinds = { unfit, unavailable, copied, truncates };
    return {
      day: typeof day === 'string' ? day : '',
      partition,
      rows: count,
      first,
      last,
      minUs,
      maxUs,
      ...kinds,
    };
  });
}

async function changeFile(
  lake: Lake,
  file: Pick<ChangeFile, 'path' | 'schema' | 'day' | 'unavailable'>,
  groups: readonly Group[],
): Promise<ChangeFile> {
  return {
    ...file,
    rows: sum(groups, ({ rows }) => rows),
    bytes: (await stat(lake.path(file.path))).size,
    offsets: Object.fromEntries(
      groups.map(({ partition, first, last }) => [partition, [first, last] as const]),
    ),
    minTimeMs: Math.floor(Math.min(...groups.map(({ minUs }) => minUs)) / 1000),
    maxTimeMs: Math.ceil(Math.max(...groups.map(({ maxUs }) => maxUs)) / 1000),
  };
}

/** Names of columns in the lists, or the objects, of a column of JSON. */
export async function namesIn(
  engine: SqlEngine,
  path: string,
  column: '__unfit' | '__unavailable',
  signal: AbortSignal,
): Promise<string[]> {
  const names =
    column === '__unfit' ? `json_keys(${column})` : `from_json(${column}, '["VARCHAR"]')`;
  const { rows } = await engine.query(
    `SELECT DISTINCT unnest(${names}) AS name FROM read_parquet(${sqlString(path)}) WHERE ${column} IS NOT NULL ORDER BY name`,
    [],
    signal,
  );
  return rows.flatMap(([name]) => (typeof name === 'string' ? name : []));
}

async function truncatesIn(
  lake: Lake,
  engine: SqlEngine,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<WrittenChanges['truncates']> {
  const files = paths.map((path) => sqlString(lake.path(path))).join(', ');
  const { rows } = await engine.query(
    `SELECT __partition, __offset, epoch_ms(__commit_time) FROM read_parquet([${files}]) WHERE __op = 't' ORDER BY 1, 2`,
    [],
    signal,
  );
  return rows.map((row) => {
    const [partition = 0, offset = 0, timeMs = 0] = row.map(Number);
    return { partition, offset, timeMs };
  });
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
