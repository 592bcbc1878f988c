import { must } from '../lib/must.ts';
import { RowEncoder } from './row-encoder.ts';

/** A column as a relation message, or the catalogue at the time of a copy, describes it. */
export type RelationColumn = Readonly<{
  name: string;
  typeOid: number;
  /** Such as the digits of a timestamp's fraction; -1 without. */
  typeModifier: number;
  isIdentity: boolean;
}>;

/** A table's shape at a point of the WAL. */
export type RelationShape = Readonly<{
  oid: number;
  schema: string;
  name: string;
  /** As pg_class.relreplident: d default, n nothing, f full, i index. */
  identity: 'd' | 'n' | 'f' | 'i';
  columns: readonly RelationColumn[];
}>;

/** A relation, compiled for encoding: made anew whenever its shape changes. */
export class Relation {
  readonly shape: RelationShape;
  /** Names of the key's columns, in key order; empty for a table without a key. */
  readonly keyNames: readonly string[];
  /** What the order of rows by the key depends on: its columns, each with the OID of its type. */
  readonly keyOrder: readonly string[];
  /** Indexes of the key's columns in the tuple. */
  readonly keyColumns: readonly number[];
  readonly row: RowEncoder;
  readonly key: RowEncoder;

  constructor(shape: RelationShape, keyNames: readonly string[], placeholder: string) {
    this.shape = shape;
    this.keyNames = keyNames;
    this.keyColumns = keyNames.map((name) => indexOf(shape, name));
    this.keyOrder = this.keyColumns.map((index) => {
      const { name, typeOid } = must(shape.columns[index], 'the index is one of the columns');
      return `${name} ${typeOid}`;
    });
    this.row = new RowEncoder(shape.columns, placeholder);
    this.key = new RowEncoder(shape.columns, placeholder, this.keyColumns);
  }
}

/**
 * Reads a Relation message from behind its tag.
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 */
export function readRelation(bytes: Buffer, start: number): RelationShape {
  let at = start;
  const text = (): string => {
    const end = bytes.indexOf(0, at);
    const value = bytes.toString('utf8', at, end);
    at = end + 1;
    return value;
  };
  const oid = bytes.readUInt32BE(at);
  at += 4;
  const schema = text();
  const name = text();
  const identity = String.fromCharCode(must(bytes[at], 'a relation has an identity'));
  const count = bytes.readUInt16BE(at + 1);
  at += 3;
  const columns = Array.from({ length: count }, () => {
    const flags = bytes[at];
    at += 1;
    const column = text();
    const typeOid = bytes.readUInt32BE(at);
    const typeModifier = bytes.readInt32BE(at + 4);
    at += 8;
    return { name: column, typeOid, typeModifier, isIdentity: flags === 1 };
  });
  return {
    oid,
    schema: schema === '' ? 'pg_catalog' : schema,
    name,
    identity: identity as RelationShape['identity'],
    columns,
  };
}

/** What the catalogue tells of a table, as far as its key depends on it. */
export type CataloguedKey = Readonly<{
  primaryKey: readonly string[];
  uniqueKey: readonly string[];
  identityColumns: readonly string[];
  columns: readonly Readonly<{ name: string; isGenerated: boolean }>[];
}>;

/**
 * The names of the columns that identify a row.
 *
 * The relation message tells them, but not their order, and under REPLICA IDENTITY FULL or NOTHING
 * not at all: then the primary key is asked of the catalogue. Today's catalogue may no longer fit
 * what the WAL says: then what was remembered of the table counts. Without a primary key it is, as in
 * Debezium, a unique index.
 */
export function keyNamesOf(
  shape: RelationShape,
  today: CataloguedKey | undefined,
  remembered: readonly string[] | undefined,
): readonly string[] {
  const flagged = shape.columns.filter((column) => column.isIdentity).map(({ name }) => name);
  const known = [today && catalogued(today), remembered].filter((key) => key !== undefined);
  const names = shape.columns.map(({ name }) => name);
  if (shape.identity === 'd' && flagged.length === 0)
    return [today?.uniqueKey ?? []].find((key) => isWithin(key, names)) ?? [];
  if (shape.identity === 'd') return known.find((key) => sameSet(key, flagged)) ?? flagged;
  if (shape.identity === 'i')
    return (
      [...known, today?.identityColumns ?? []].find(
        (key) => key.length > 0 && isWithin(key, flagged),
      ) ?? flagged
    );
  const isOfToday = today !== undefined && isShapeOf(today, names);
  return (isOfToday ? known : known.toReversed()).find((key) => isWithin(key, names)) ?? [];
}

function catalogued({ primaryKey, uniqueKey }: CataloguedKey): readonly string[] {
  return primaryKey.length > 0 ? primaryKey : uniqueKey;
}

/** A publication may leave generated columns out. */
function isShapeOf({ columns }: CataloguedKey, names: readonly string[]): boolean {
  const plain = columns.filter(({ isGenerated }) => !isGenerated).map(({ name }) => name);
  const all = columns.map(({ name }) => name);
  return isWithin(plain, names) && isWithin(names, all);
}

function isWithin(some: readonly string[], others: readonly string[]): boolean {
  return some.every((each) => others.includes(each));
}

function sameSet(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && isWithin(some, others);
}

function indexOf(shape: RelationShape, name: string): number {
  const index = shape.columns.findIndex((column) => column.name === name);
  if (index < 0) throw new Error(`bug: key column ${name} is not in ${shape.schema}.${shape.name}`);
  return index;
}
