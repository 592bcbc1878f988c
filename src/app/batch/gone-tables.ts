import type { Manifest } from '../../batch/lake/manifest.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { DescribedTable } from '../described-tables.ts';

/**
 * Tables of the lake, such as `public.orders`, that the source has no longer among those that are
 * captured: dropped, or renamed. Their changes end, and nothing in the log says why. Undefined
 * where the source can't be asked.
 */
export async function goneTables(
  { tables }: Manifest,
  isTable: (topic: string) => boolean,
  describe: () => Promise<readonly DescribedTable[]>,
): Promise<readonly string[] | undefined> {
  const known = Object.values(tables).filter(({ topic }) => isTable(topic));
  if (known.length === 0) return [];
  const captured = await describe().catch((error: unknown) => {
    if (!(error instanceof MillraceError)) throw error;
    return error.code === 'source_not_ready' ? [] : undefined;
  });
  if (captured === undefined) return undefined;
  const topics = new Set(captured.map(({ topic }) => topic));
  return known
    .filter(({ topic }) => !topics.has(topic))
    .map(({ schema, name }) => `${schema}.${name}`);
}
