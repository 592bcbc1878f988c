import { readdir, rm } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Lake } from '../lake.ts';
import type { Manifest } from '../manifest.ts';
import { APPENDED } from './change-files.ts';

/** Removes change files of a writer that died between writing and naming them; for who holds the writer's lock. */
export async function removeOrphans(lake: Lake, { tables, removed }: Manifest): Promise<void> {
  const named = new Set([
    ...Object.values(tables).flatMap(({ changes }) => changes.map(({ path }) => path)),
    ...removed.map(({ path }) => path),
  ]);
  const root = lake.path('changes');
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(
    (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    },
  );
  for (const entry of entries) {
    if (!entry.isFile() || !entry.name.startsWith(APPENDED)) continue;
    const file = join(entry.parentPath, entry.name);
    const path = relative(lake.dir, file).split(sep).join('/');
    if (!named.has(path)) await rm(file, { force: true });
  }
}
