import type { SqlRows, SqlValue } from '../../ports/sql-engine.ts';
import { counted } from '../../lib/counted.ts';
import { must } from '../../lib/must.ts';
import type { UnitRow } from './unit-test-file.ts';

/** Doubles that were summed in another order are the same. */
const TOLERANCE = 1e-9;
const MOST_LINES = 20;

type Row = readonly SqlValue[];

/**
 * How rows differ from the expected ones, a line a row; none when they are as expected. Of an expected
 * row the columns count that `given` has for it. Rows that are alike but for some columns are told
 * together.
 */
export function differences(
  expected: SqlRows,
  given: readonly UnitRow[],
  found: SqlRows,
  ordered: boolean,
): readonly string[] {
  const names = found.columns.map(({ name }) => name);
  const wanted = expected.rows.map((row, index) => ({
    row,
    columns: names.flatMap((name, at) =>
      must(given[index], 'a row is expected for each given').values.has(name) ? [at] : [],
    ),
  }));
  const pairs = ordered ? inOrder(wanted, found.rows) : matching(wanted, found.rows);
  const taken = new Set(pairs.filter((at) => at !== undefined));
  const missing = wanted.filter((_, index) => pairs[index] === undefined);
  const surplus = new Set(found.rows.flatMap((_, at) => (taken.has(at) ? [] : [at])));
  const shownColumns = [...new Set(wanted.flatMap(({ columns }) => columns))].toSorted(
    (a, b) => a - b,
  );
  const lines = missing.map((each) => {
    const index = wanted.indexOf(each);
    const nearest = ordered
      ? surplus.has(index)
        ? index
        : undefined
      : nearestOf(each, surplus, found.rows);
    if (nearest === undefined) return `missing: ${shown(each.row, each.columns, names)}`;
    surplus.delete(nearest);
    return changed(each, must(found.rows[nearest], 'it is one of them'), names);
  });
  const all = shownColumns.length === 0 ? names.map((_, at) => at) : shownColumns;
  for (const at of surplus)
    lines.push(`not expected: ${shown(must(found.rows[at], 'it is one of them'), all, names)}`);
  if (lines.length <= MOST_LINES) return lines;
  return [...lines.slice(0, MOST_LINES), `and ${counted(lines.length - MOST_LINES, 'row')} more`];
}

type Wanted = Readonly<{ row: Row; columns: readonly number[] }>;

/** For each wanted row, the found one at its place, when that is as wanted. */
function inOrder(wanted: readonly Wanted[], found: readonly Row[]): (number | undefined)[] {
  return wanted.map((each, index) => {
    const row = found[index];
    return row !== undefined && isMatch(each, row) ? index : undefined;
  });
}

/**
 * For each wanted row a found one of its own, for as many as can be. A row that says little could
 * take the one that another needs, so those found are passed on (augmenting paths).
 */
function matching(wanted: readonly Wanted[], found: readonly Row[]): (number | undefined)[] {
  const owner = new Map<number, number>();
  const give = (index: number, seen: Set<number>): boolean => {
    for (const [at, row] of found.entries()) {
      if (seen.has(at) || !isMatch(must(wanted[index], 'it is one of them'), row)) continue;
      seen.add(at);
      const before = owner.get(at);
      if (before !== undefined && !give(before, seen)) continue;
      owner.set(at, index);
      return true;
    }
    return false;
  };
  for (const index of wanted.keys()) give(index, new Set());
  const pairs: (number | undefined)[] = wanted.map(() => undefined);
  for (const [at, index] of owner) pairs[index] = at;
  return pairs;
}

function isMatch({ row, columns }: Wanted, found: Row): boolean {
  return columns.every((at) => isSame(row[at] ?? null, found[at] ?? null));
}

function isSame(a: SqlValue, b: SqlValue): boolean {
  if (typeof a === 'number' && typeof b === 'number')
    return a === b || Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The one with most columns as wanted; undefined when none has any. */
function nearestOf(
  { row, columns }: Wanted,
  among: ReadonlySet<number>,
  found: readonly Row[],
): number | undefined {
  let best: Readonly<{ at: number; same: number }> | undefined;
  for (const at of among) {
    const same = columns.filter((each) =>
      isSame(row[each] ?? null, found[at]?.[each] ?? null),
    ).length;
    if (same > (best?.same ?? 0)) best = { at, same };
  }
  return best?.at;
}

function changed({ row, columns }: Wanted, found: Row, names: readonly string[]): string {
  const [same, other] = [true, false].map((isEqual) =>
    columns.filter((at) => isSame(row[at] ?? null, found[at] ?? null) === isEqual),
  );
  const told = (other ?? []).map(
    (at) =>
      `${names[at]} is ${JSON.stringify(found[at] ?? null)}, expected ${JSON.stringify(row[at] ?? null)}`,
  );
  const which = same === undefined || same.length === 0 ? '' : ` (${shown(row, same, names)})`;
  return `${told.join('; ')}${which}`;
}

function shown(row: Row, columns: readonly number[], names: readonly string[]): string {
  return columns.map((at) => `${names[at]}: ${JSON.stringify(row[at] ?? null)}`).join(', ');
}
