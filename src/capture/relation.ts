import { must } from '../lib/must.ts';
import { RowEncoder } from './row-encoder.ts';

/** A column as a relation message, or the catalogue at the time of a copy, describes it. */
export type RelationColumn = Readonly<{ name: string; typeOid: number; isIdentity: boolean }>;

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
  /** Indexes of the key's columns in the tuple. */
  readonly keyColumns: readonly number[];
  readonly keySet: ReadonlySet<number>;
  readonly row: RowEncoder;
  readonly key: RowEncoder;

  constructor(shape: RelationShape, keyNames: readonly string[], placeholder: string) {
    this.shape = shape;
    this.keyNames = keyNames;
    this.keyColumns = keyNames.map((name) => indexOf(shape, name));
    this.keySet = new Set(this.keyColumns);
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
    at += 8;
    return { name: column, typeOid, isIdentity: flags === 1 };
  });
  return {
    oid,
    schema: schema === '' ? 'pg_catalog' : schema,
    name,
    identity: identity as RelationShape['identity'],
    columns,
  };
}

/**
 * The names of the columns that identify a row.
 *
 * The relation message tells them, except under REPLICA IDENTITY FULL or NOTHING, where the
 * primary key is asked of the catalogue. Today's catalogue may no longer fit what the WAL says: then
 * what was remembered of the table counts.
 */
export function keyNamesOf(
  shape: RelationShape,
  today:
    | Readonly<{ primaryKey: readonly string[]; columns: readonly { name: string }[] }>
    | undefined,
  remembered: readonly string[] | undefined,
): readonly string[] {
  const has = (names: readonly string[]) =>
    names.every((name) => shape.columns.some((column) => column.name === name));
  const flagged = shape.columns.filter((column) => column.isIdentity).map(({ name }) => name);
  if (shape.identity === 'd')
    return today && sameSet(today.primaryKey, flagged) ? today.primaryKey : flagged;
  if (shape.identity === 'i') {
    const key = today?.primaryKey ?? [];
    return key.length > 0 && key.every((name) => flagged.includes(name)) ? key : flagged;
  }
  const fits =
    today !== undefined &&
    sameSet(
      today.columns.map(({ name }) => name),
      shape.columns.map(({ name }) => name),
    );
  if (today !== undefined && (fits || remembered === undefined) && has(today.primaryKey))
    return today.primaryKey;
  return remembered !== undefined && has(remembered) ? remembered : [];
}

function sameSet(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((each) => others.includes(each));
}

function indexOf(shape: RelationShape, name: string): number {
  const index = shape.columns.findIndex((column) => column.name === name);
  if (index < 0) throw new Error(`bug: key column ${name} is not in ${shape.schema}.${shape.name}`);
  return index;
}
