import type { LakeTable } from './manifest.ts';

/**
 * What is to be said of a table of which rows are still to come by a copy; undefined when all are
 * there, as of a time before it was so, too.
 */
export function copyingText(
  { schema, name, incomplete }: Pick<LakeTable, 'schema' | 'name' | 'incomplete'>,
  atMs = Infinity,
): string | undefined {
  if (incomplete === undefined || atMs < incomplete.sinceMs) return undefined;
  return `${schema}.${name} is being copied`;
}

/** The same for those who are shown its rows all the same. */
export function copyingWarning(...of: Parameters<typeof copyingText>): string | undefined {
  const text = copyingText(...of);
  return text && `${text}: not all of its rows are in the lake yet`;
}
