import { randomUUID } from 'node:crypto';
import { mkdir, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { flushFile, flushFolder } from '../../lib/flush-file.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import { sqlString } from '../models/literal.ts';
import type { Lake } from './lake.ts';

export type WrittenFile = Readonly<{ path: string; rows: number; bytes: number }>;

/**
 * Writes the rows of a SELECT as a Parquet file of a new name in a folder of the lake, flushed to
 * disk; no manifest names it yet. When it fails, nothing is left. Throws `disk_full`.
 */
export async function writeParquet(
  lake: Lake,
  engine: SqlEngine,
  folder: string,
  select: string,
  signal: AbortSignal,
): Promise<WrittenFile> {
  const path = `${folder}/${randomUUID()}.parquet`;
  const file = lake.path(path);
  try {
    const made = await mkdir(dirname(file), { recursive: true });
    const rows = await engine.run(
      `COPY (${select}) TO ${sqlString(file)} (FORMAT parquet, COMPRESSION zstd)`,
      signal,
    );
    await flushFile(file);
    // Each new folder's name stands in the one above it.
    if (made !== undefined)
      for (let dir = dirname(file); dir.length >= made.length; dir = dirname(dir))
        await flushFolder(dirname(dir));
    return { path, rows, bytes: (await stat(file)).size };
  } catch (error) {
    await rm(file, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new MillraceError('disk_full', { dir: lake.dir }, error);
    throw error;
  }
}
