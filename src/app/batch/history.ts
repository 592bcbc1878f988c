import { historyOf } from '../../batch/lake/history.ts';
import { parseRowKey } from '../../batch/lake/row-key.ts';
import type { RowEvent } from '../../batch/lake/row-life.ts';
import { readableTableOf } from './lake-commands.ts';
import { type BatchPlaces, openEngine, openLakeThere } from './open.ts';

export type { ColumnChange, RowEvent } from '../../batch/lake/row-life.ts';

/**
 * Every change of a row, oldest first; `key` as people write it. Throws `lake_table_unknown`,
 * `lake_key_invalid` and `lake_file_damaged`.
 */
export async function* rowHistory(
  places: BatchPlaces,
  { table: name, key }: Readonly<{ table: string; key: string }>,
  signal: AbortSignal,
): AsyncGenerator<RowEvent> {
  const lake = await openLakeThere(places);
  const manifest = await lake.manifest();
  const table = readableTableOf(manifest, name);
  await using engine = await openEngine(places);
  const messages = Object.values(manifest.tables).find(({ schema }) => schema === '');
  yield* historyOf(lake, engine, table, parseRowKey(table, key), { messages, signal });
}
