import { rm } from 'node:fs/promises';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import { inlineFiles } from './inline-files.ts';
import type { Lake } from './lake.ts';
import type { LakeBase, LakeTable } from './manifest.ts';
import { baseOf } from './state.ts';
import { planState } from './state-plan.ts';
import { writeParquet } from './written-file.ts';

/** Of the table as it is given, with all changes that it names. Times in files are rounded to either side. */
export async function writeBase(
  lake: Lake,
  engine: SqlEngine,
  table: LakeTable,
  maxTimeMs: number,
  signal: AbortSignal,
): Promise<LakeBase> {
  const at = { offsets: table.offsets };
  const select = inlineFiles(baseOf(lake, table, at));
  const written = await writeParquet(lake, engine, `bases/${table.topic}`, select, signal);
  if (written.rows === 0) await rm(lake.path(written.path), { force: true });
  return {
    offsets: table.offsets,
    maxTimeMs,
    schema: planState(table, at, 'then').schema.id,
    rows: written.rows,
    files: written.rows === 0 ? [] : [written],
  };
}
