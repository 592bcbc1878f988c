import { type Influences, made, united } from './influence.ts';

/** What a query gives. */
export type QueryResult = Readonly<{
  /** In their order; undefined where it can't be told which there are. */
  columns: readonly ResultColumn[] | undefined;
  /** What decides which rows there are; what can't be told is not among it. */
  rows: readonly NonNullable<Influences>[number][];
}>;

export type ResultColumn = Readonly<{ name: string; influences: Influences }>;

/** What stands in FROM under one name. */
export type ScopedRelation = Readonly<{ name: string; columns: QueryResult['columns'] }>;

/** Of `column`, `relation.column`, `schema.relation.column` or `column.field`; undefined when there is no such column. */
export type Names = Readonly<{
  find: (names: readonly string[]) => Readonly<{ influences: Influences }> | undefined;
}>;

/** Names are looked for in one, then in the other. */
export function firstOf(first: Names, second: Names): Names {
  return { find: (names) => first.find(names) ?? second.find(names) };
}

/** Which columns an expression may name, as DuckDB looks for them: names are the same in any case. */
export class QueryScope implements Names {
  readonly #relations: readonly ScopedRelation[];
  /** Columns that a join has made one of two, and what they are then. */
  readonly #merged: ReadonlyMap<string, ResultColumn>;
  /** Of a query around it. */
  readonly #outer: Names | undefined;

  constructor(
    relations: readonly ScopedRelation[],
    merged: readonly ResultColumn[] = [],
    outer?: Names,
  ) {
    this.#relations = relations;
    this.#merged = new Map(merged.map((column) => [column.name.toLowerCase(), column]));
    this.#outer = outer;
  }

  find(names: readonly string[]): Readonly<{ influences: Influences }> | undefined {
    const own = this.#find(names);
    if (own !== undefined) return own;
    // A relation of which nothing is known may have it.
    if (this.#relations.some(({ columns }) => columns === undefined))
      return { influences: undefined };
    return this.#outer?.find(names);
  }

  #find(names: readonly string[]): Readonly<{ influences: Influences }> | undefined {
    const [first = '', second, third] = names;
    if (second === undefined) return this.#column(first);
    const qualified =
      (third === undefined ? undefined : this.#columnOf(second, third, names.length > 3)) ??
      this.#columnOf(first, second, names.length > 2);
    if (qualified !== undefined) return qualified;
    const field = this.#column(first);
    return field && { influences: made(field.influences, 'TRANSFORMATION') };
  }

  #column(name: string): Readonly<{ influences: Influences }> | undefined {
    const merged = this.#merged.get(name.toLowerCase());
    if (merged !== undefined) return merged;
    const found = this.#relations.flatMap(({ columns = [] }) =>
      columns.filter((column) => isSame(column.name, name)),
    );
    return found.length > 1 ? { influences: undefined } : found[0];
  }

  #columnOf(
    relation: string,
    column: string,
    hasField: boolean,
  ): Readonly<{ influences: Influences }> | undefined {
    const named = this.#relations.find(({ name }) => isSame(name, relation));
    if (named === undefined) return undefined;
    if (named.columns === undefined) return { influences: undefined };
    const found = named.columns.find(({ name }) => isSame(name, column));
    if (found === undefined || !hasField) return found;
    return { influences: made(found.influences, 'TRANSFORMATION') };
  }

  /** What `*` or `relation.*` stands for; undefined when it can't be told. */
  all(relation: string): readonly ResultColumn[] | undefined {
    if (relation !== '') {
      return this.#relations.find(({ name }) => isSame(name, relation))?.columns;
    }
    if (this.#relations.some(({ columns }) => columns === undefined)) return undefined;
    const shown = new Set<string>();
    return this.#relations.flatMap(({ columns = [] }) =>
      columns.flatMap((column) => {
        const merged = this.#merged.get(column.name.toLowerCase());
        if (merged === undefined) return column;
        if (shown.has(merged.name)) return [];
        shown.add(merged.name);
        return merged;
      }),
    );
  }
}

export function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** One column of two that a join makes equal: with an inner join or a left one, that of the left. */
export function mergedColumn(
  joinType: string,
  left: ResultColumn,
  right: ResultColumn,
): ResultColumn {
  if (joinType === 'RIGHT') return { ...left, influences: right.influences };
  if (joinType !== 'OUTER') return left;
  const both = united([left.influences, right.influences]);
  return { ...left, influences: made(both, 'TRANSFORMATION') };
}
