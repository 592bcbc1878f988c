import type { SqlEngine } from '../../../ports/sql-engine.ts';
import type { Lake } from '../lake.ts';
import type { CopyMark, TableDraft } from './table-draft.ts';

/**
 * Notes where a whole copy began and, once it has ended, that the rows of before are gone.
 *
 * The connectors mark a copy's first and last row; of a single row, either may be missing. What is
 * streamed comes after a copy: it ends one, too.
 */
export async function noteCopies(
  lake: Lake,
  engine: SqlEngine,
  draft: TableDraft,
  signal: AbortSignal,
): Promise<void> {
  if (draft.marks.length === 0 && draft.copying === undefined) return;
  const rows = await rowsOf(lake, engine, draft, signal);
  const start =
    draft.marks.findLast(({ isFirst }) => isFirst) ??
    (draft.copying === undefined ? draft.marks[0] : undefined);
  if (start !== undefined) draft.copying = begun(draft, start, await rows.since(start.timeMs));
  const { copying } = draft;
  if (copying === undefined) return;
  const last = draft.marks.findLast(
    ({ isFirst, partition, offset }) => !isFirst && offset >= (copying.offsets[partition] ?? 0),
  );
  const streamedMs = last === undefined ? await rows.streamedSince(copying.offsets) : undefined;
  const endMs = last?.timeMs ?? streamedMs;
  if (endMs === undefined) return;
  draft.copying = undefined;
  const first = await rows.first();
  const isFirstOfAll =
    (draft.before?.changes.length ?? 0) === 0 &&
    [...first].every(([partition, offset]) => offset >= (copying.offsets[partition] ?? 0));
  if (isFirstOfAll) return;
  for (const [partition, offset] of Object.entries(copying.offsets)) {
    const at = Math.max(offset, (draft.offsets[partition] ?? offset) - 1);
    draft.resets.push({
      partition: Number(partition),
      offset,
      at: last?.partition === Number(partition) ? last.offset : at,
      timeMs: endMs,
      cause: 'copy',
    });
  }
}

/** In other partitions than the mark's, what was committed since the copy began comes after it. */
function begun(
  { offsets }: TableDraft,
  { partition, offset, timeMs }: CopyMark,
  since: ReadonlyMap<number, number>,
): TableDraft['copying'] {
  const starts = Object.keys(offsets).map((each) => {
    const other = since.get(Number(each)) ?? offsets[each] ?? 0;
    return [each, Number(each) === partition ? offset : other] as const;
  });
  return { offsets: Object.fromEntries(starts), timeMs };
}

/** Questions on the rows that the draft adds. */
async function rowsOf(lake: Lake, engine: SqlEngine, draft: TableDraft, signal: AbortSignal) {
  const files = draft.changes.map(({ path }) => `'${lake.path(path).replaceAll("'", "''")}'`);
  const from = `read_parquet([${files.join(', ')}])`;
  const numbers = async (sql: string): Promise<number[][]> => {
    if (files.length === 0) return [];
    const { rows } = await engine.query(sql, [], signal);
    return rows.map((row) => row.map(Number));
  };
  const firsts = async (where: string): Promise<ReadonlyMap<number, number>> => {
    const rows = await numbers(
      `SELECT __partition, min(__offset) FROM ${from} ${where} GROUP BY 1 ORDER BY 1`,
    );
    return new Map(rows.map(([partition = 0, offset = 0]) => [partition, offset]));
  };
  return {
    first: () => firsts(''),
    since: (timeMs: number) => firsts(`WHERE __commit_time >= make_timestamp(${timeMs * 1000})`),
    /** The time of the first such row; undefined without one. */
    async streamedSince(offsets: Readonly<Record<string, number>>): Promise<number | undefined> {
      const after = Object.entries(offsets).map(
        ([partition, offset]) => `(__partition = ${partition} AND __offset >= ${offset})`,
      );
      const rows = await numbers(
        `SELECT epoch_ms(__commit_time) FROM ${from} WHERE __op <> 'r' AND (${after.join(' OR ')}) ORDER BY __commit_time LIMIT 1`,
      );
      return rows[0]?.[0];
    },
  };
}
