import { lakeTypeOf } from '../column-type.ts';
import type { LakeColumn, LakeSchema } from '../manifest.ts';
import { isSameNumber } from '../same-column.ts';
import type { SourceTable } from './source-table.ts';

/** The lake's columns for the columns of change events, in their order. */
export function lakeColumns(
  names: readonly string[],
  {
    source,
    before,
    inferred,
    isSameTable = false,
  }: Readonly<{
    /** The table as the catalogue has it now; it may be newer than the events, or gone. */
    source: SourceTable | undefined;
    /** The columns that the table had last. */
    before: readonly LakeColumn[];
    /** PostgreSQL types of columns that nobody else knows. */
    inferred: ReadonlyMap<string, string>;
    /** The lake has older rows of the table that the catalogue tells: so the events are of no other one. */
    isSameTable?: boolean;
  }>,
): LakeColumn[] {
  const taken = new Set<string>();
  const nameBefore = new Map(before.map((column) => [column.source, column]));
  const isToday = source !== undefined && isTodayOf(source, names);
  const places = isSameTable ? placesKnown(source) : 0;
  const columns = names.map((name, at) => {
    const isPlaced = at < places;
    const today = isPlaced
      ? source?.columns[at]
      : source?.columns.slice(places).find((column) => column.name === name);
    const sqlType = today?.sqlType ?? nameBefore.get(name)?.sqlType ?? inferred.get(name) ?? 'text';
    return {
      name: nameBefore.get(name)?.name ?? name,
      source: name,
      type: lakeTypeOf(sqlType),
      sqlType,
      ...(today?.missing !== undefined && { missing: today.missing }),
      ...((isToday || isPlaced) && today?.number !== undefined && { number: today.number }),
    };
  });
  return columns.map((column) => ({ ...column, name: freeName(column.name, taken) }));
}

/**
 * How many columns of a row are known by their place, whatever their names were then: numbers are
 * given in order and never again, so up to the first that is gone, the nth column has the number n.
 */
function placesKnown(source: SourceTable | undefined): number {
  const columns = source?.columns ?? [];
  const gone = columns.findIndex(({ number }, at) => number?.column !== at + 1);
  return gone === -1 ? columns.length : gone;
}

/** Engines don't tell names apart by case, and columns of the lake's own begin with two underscores. */
function freeName(name: string, taken: Set<string>): string {
  const plain = name.startsWith('__') ? `column${name}` : name;
  let free = plain;
  for (let nth = 2; taken.has(free.toLowerCase()); nth += 1) free = `${plain}_${nth}`;
  taken.add(free.toLowerCase());
  return free;
}

/**
 * Whether events with columns of these names are rows of the table as it is now. Where columns have
 * numbers they stand in order of these, so that another order tells of swapped names.
 */
export function isTodayOf({ columns }: SourceTable, names: readonly string[]): boolean {
  if (columns.some(({ number }) => number !== undefined))
    return isInOrder(columns, ({ name }) => name, names);
  const known = new Set(columns.map(({ name }) => name));
  return known.size === names.length && names.every((name) => known.has(name));
}

/** Whether events with columns of these names are rows of the schema. */
export function isOf(schema: LakeSchema, names: readonly string[]): boolean {
  const known = new Set(schema.columns.map(({ source }) => source));
  return known.size === names.length && names.every((name) => known.has(name));
}

/** As `isOf`, with the columns in this order. */
export function isOfOrder({ columns }: LakeSchema, names: readonly string[]): boolean {
  return isInOrder(columns, ({ source }) => source, names);
}

function isInOrder<T>(
  columns: readonly T[],
  nameOf: (column: T) => string,
  names: readonly string[],
): boolean {
  return columns.length === names.length && columns.every((each, at) => nameOf(each) === names[at]);
}

/** Whether both are the same columns, with values in the same form. */
export function areSame(a: readonly LakeColumn[], b: readonly LakeColumn[]): boolean {
  return (
    a.length === b.length &&
    a.every((column) =>
      b.some(
        (other) =>
          other.source === column.source &&
          other.sqlType === column.sqlType &&
          (other.number === undefined ||
            column.number === undefined ||
            isSameNumber(other, column) === true),
      ),
    )
  );
}

/** Whether values of a type, cast to another one, are those that PostgreSQL would make of them. */
export function holdsAll(type: string, held: string): boolean {
  if (type === held) return true;
  const [rank, heldRank] = [INTEGERS.indexOf(type), INTEGERS.indexOf(held)];
  if (rank >= 0 && heldRank >= 0) return rank > heldRank;
  const [digits, heldDigits] = [digitsOf(type), digitsOf(held)];
  return (
    digits !== undefined &&
    heldDigits !== undefined &&
    digits.whole >= heldDigits.whole &&
    digits.scale >= heldDigits.scale
  );
}

const INTEGERS: readonly string[] = ['SMALLINT', 'INTEGER', 'BIGINT'];

function digitsOf(type: string): Readonly<{ whole: number; scale: number }> | undefined {
  const [, precision, scale] = /^DECIMAL\((\d+),(\d+)\)$/.exec(type) ?? [];
  if (precision === undefined || scale === undefined) return undefined;
  return { whole: Number(precision) - Number(scale), scale: Number(scale) };
}

/** A PostgreSQL type that holds all values of these kinds of JSON, as DuckDB names them. */
export function inferredType(kinds: readonly unknown[]): string {
  const present = kinds.filter((kind) => kind !== null && kind !== 'NULL');
  const all = (...of: string[]): boolean =>
    present.length > 0 && present.every((kind) => of.includes(String(kind)));
  if (all('BOOLEAN')) return 'boolean';
  if (all('BIGINT', 'UBIGINT')) return 'bigint';
  return all('BIGINT', 'UBIGINT', 'DOUBLE') ? 'double precision' : 'text';
}
