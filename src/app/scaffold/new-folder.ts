import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';

/** What npm, git and the user's own address may have put there before. */
const LEFT_ALONE: ReadonlySet<string> = new Set([
  '.DS_Store',
  '.env',
  '.git',
  '.npmrc',
  'node_modules',
  'package-lock.json',
  'package.json',
]);

/** Throws `usage` when the folder holds files of somebody's. */
export async function refuseFilled(dir: string): Promise<void> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw unusable(dir, error);
  });
  const found = names.filter((name) => !LEFT_ALONE.has(name));
  if (found.length > 0)
    throw new MillraceError('usage', {
      expected: `an empty folder, or --force: files of the same names are replaced`,
      found: `${dir} with ${found.slice(0, 5).join(', ')}${found.length > 5 ? ', …' : ''}`,
    });
}

/** Writes all files aside, then moves them to their places: a full disk leaves the folder as it was. */
export async function writeFiles(dir: string, files: ReadonlyMap<string, string>): Promise<void> {
  let draft: string | undefined;
  try {
    await mkdir(dir, { recursive: true });
    draft = await mkdtemp(join(dir, '.millrace-init-'));
    for (const [path, text] of files) {
      await mkdir(dirname(join(draft, path)), { recursive: true });
      await writeFile(join(draft, path), text);
    }
    for (const path of files.keys()) {
      await mkdir(dirname(join(dir, path)), { recursive: true });
      await rename(join(draft, path), join(dir, path));
    }
  } catch (error) {
    throw unusable(dir, error);
  } finally {
    if (draft !== undefined) await rm(draft, { recursive: true, force: true });
  }
}

function unusable(dir: string, error: unknown): MillraceError {
  const found = error instanceof Error ? error.message : String(error);
  return new MillraceError(
    'usage',
    { expected: 'a folder that can be written', dir, found },
    error,
  );
}
