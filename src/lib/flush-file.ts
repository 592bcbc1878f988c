import { open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes a file and its name last through a power cut. */
export async function flushFile(file: string): Promise<void> {
  await flush(file);
  await flushFolder(dirname(file));
}

/** Makes the names in a folder last through a power cut. */
export function flushFolder(dir: string): Promise<void> {
  return flush(dir);
}

async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
