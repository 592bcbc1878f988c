import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { flushFile, flushFolder } from '../../lib/flush-file.ts';

/**
 * The Parquet files that a step left in its folder, in the order of their rows, and flushed to disk
 * with their names. What Spark keeps beside them, checksums and drafts, is removed.
 */
export async function keepWrittenFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  const isPart = (name: string): boolean => /^part-.*\.parquet$/.test(name);
  for (const name of entries.filter((each) => !isPart(each)))
    await rm(join(directory, name), { recursive: true, force: true });
  // Spark numbers them in the order of its partitions: part-00000-…, part-00001-….
  const files = entries.filter(isPart).toSorted(byNumber);
  for (const name of files) await flushFile(join(directory, name));
  if (files.length > 0) await flushFolder(dirname(directory));
  return files.map((name) => join(directory, name));
}

/** Numbers have five digits, and more where there are more. */
function byNumber(left: string, right: string): number {
  const numberOf = (name: string): number => Number(/^part-(\d+)/.exec(name)?.[1] ?? 0);
  return numberOf(left) - numberOf(right) || (left < right ? -1 : 1);
}
