import type { ColumnNumber } from '../manifest.ts';

/** A captured table, as the source's catalogue tells it now. */
export type SourceTable = Readonly<{
  schema: string;
  name: string;
  /** Names of the key's columns, in key order; empty without a key. */
  key: readonly string[];
  columns: readonly SourceColumn[];
}>;

export type SourceColumn = Readonly<{
  name: string;
  /** As PostgreSQL writes it, such as `numeric(10,2)`. */
  sqlType: string;
  /** As text: what rows have that are older than the column, whose default PostgreSQL did not write into them. */
  missing?: string;
  /** Older rows may have a value of its default, each its own, that PostgreSQL wrote into them and told nobody. */
  isFilled?: true;
  number?: ColumnNumber;
}>;
