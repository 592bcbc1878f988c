import type { Grouped, WindowedTable } from '../../../src/index.ts';
import { MINUTES } from './windows.ts';

/** A minute's sum that is held against a limit. */
export type WatchedSum = Readonly<{
  sum: number;
  isOver: boolean;
  /** The row that took the sum over the limit, while it is the last one: so it is told once. */
  crossedBy?: number;
}>;

export function watchedSum<K, R extends Readonly<{ id: number }>>(
  rows: Grouped<K, R>,
  { name, limit, of = () => 1 }: Readonly<{ name: string; limit: number; of?: (row: R) => number }>,
): WindowedTable<K, R, WatchedSum> {
  return rows.windowedBy(MINUTES).aggregate<WatchedSum>(
    () => ({ sum: 0, isOver: false }),
    ({ sum, isOver }, row) => {
      const total = sum + of(row);
      const crosses = !isOver && total > limit;
      return { sum: total, isOver: isOver || crosses, ...(crosses && { crossedBy: row.id }) };
    },
    { name },
  );
}
