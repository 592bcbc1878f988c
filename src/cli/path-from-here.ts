import { relative } from 'node:path';

/** What an absolute path is called in a folder: shorter where it is below, and else as it is. */
export function pathFromHere(cwd: string, path: string): string {
  const fromHere = relative(cwd, path);
  return fromHere.startsWith('..') ? path : fromHere;
}
