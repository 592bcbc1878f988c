/** How a value flows into a column, in OpenLineage's words. */
export type DirectKind = 'IDENTITY' | 'TRANSFORMATION' | 'AGGREGATION';
/** How a value decides about rows or columns that it does not flow into. */
export type IndirectKind = 'JOIN' | 'GROUP_BY' | 'FILTER' | 'SORT' | 'WINDOW' | 'CONDITIONAL';

/** What a column of a relation has to do with something else. */
export type Influence = Readonly<{
  relation: string;
  column: string;
  kind: DirectKind | IndirectKind;
}>;

/** Undefined: it can't be told. */
export type Influences = readonly Influence[] | undefined;

const DIRECT = ['IDENTITY', 'TRANSFORMATION', 'AGGREGATION'] as const;

export function isDirect({ kind }: Pick<Influence, 'kind'>): boolean {
  return DIRECT.some((direct) => direct === kind);
}

/** Each once. Where one of them can't be told, neither can the whole. */
export function united(parts: readonly Influences[]): Influences {
  const known = parts.filter((part) => part !== undefined);
  if (known.length < parts.length) return undefined;
  const found = new Map<string, Influence>();
  for (const each of known.flat()) found.set(keyOf(each), each);
  return [...found.values()];
}

/** After something was made of the values: a sum of what was a product is an aggregation. */
export function made(influences: Influences, kind: DirectKind): Influences {
  return united([
    influences?.map((each) =>
      isDirect(each) && rank(each.kind) < rank(kind) ? { ...each, kind } : each,
    ),
  ]);
}

/** Of values that decide, and do not flow. What decided about them decides still. */
export function deciding(influences: Influences, kind: IndirectKind): Influences {
  return united([influences?.map((each) => (isDirect(each) ? { ...each, kind } : each))]);
}

function rank(kind: Influence['kind']): number {
  return DIRECT.findIndex((direct) => direct === kind);
}

function keyOf({ relation, column, kind }: Influence): string {
  return JSON.stringify([relation, column, kind]);
}
