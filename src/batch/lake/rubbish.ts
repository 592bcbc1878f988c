import { readdir, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Lake } from './lake.ts';
import type { Manifest } from './manifest.ts';
import { APPENDED } from './writer/change-files.ts';

/** Who still reads by a manifest that named a file has so long to open it. */
const GRACE_MS = 15 * 60_000;

/** Deletes files that were replaced a while ago; returns how many. */
export async function removeReplaced(lake: Lake, nowMs: number): Promise<number> {
  const { removed } = await lake.manifest();
  const due = new Set(removed.flatMap((file) => (isDue(file, nowMs) ? [file.path] : [])));
  // The list is cut after: a crash in between only means that they are deleted again.
  for (const path of due) await rm(lake.path(path), { force: true });
  if (due.size === 0) return 0;
  await lake.commit((manifest) => ({
    ...manifest,
    removed: manifest.removed.filter(({ path }) => !due.has(path)),
  }));
  return due.size;
}

/** Whether nobody can be about to open the file any more. */
export function isDue({ atMs }: Manifest['removed'][number], nowMs: number): boolean {
  return atMs <= nowMs - GRACE_MS;
}

/**
 * Deletes what a compaction left that died: files of its own that no manifest names. The caller holds
 * its lock. Those of the writer, and results of models, are theirs to clear up.
 */
export async function removeOrphans(lake: Lake): Promise<void> {
  const own = [...(await files(lake, 'bases')), ...(await files(lake, 'changes'))].filter(
    (path) => !basename(path).startsWith(APPENDED),
  );
  const named = namedIn(await lake.manifest());
  for (const path of own) if (!named.has(path)) await rm(lake.path(path), { force: true });
}

function namedIn({ tables, removed }: Manifest): ReadonlySet<string> {
  return new Set([
    ...removed.map(({ path }) => path),
    ...Object.values(tables).flatMap(({ changes, bases }) => [
      ...changes.map(({ path }) => path),
      ...bases.flatMap((base) => base.files.map(({ path }) => path)),
    ]),
  ]);
}

/** Relative to the lake. */
async function files(lake: Lake, folder: string): Promise<string[]> {
  const entries = await readdir(lake.path(folder), { recursive: true, withFileTypes: true }).catch(
    (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    },
  );
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) =>
      `${parentPath}/${name}`.slice(lake.dir.length + 1).replaceAll('\\', '/'),
    );
}
