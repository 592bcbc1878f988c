import { must } from '../lib/must.ts';
import { writeColumn, kindOf, type ColumnKind } from './column-encoder.ts';
import { NULL, UNCHANGED, type Tuple } from './tuple.ts';

const OPEN = 0x7b;
const CLOSE = 0x7d;

/** What a row encoder knows of a column. */
export type EncodedColumn = Readonly<{ name: string; typeOid: number; typeModifier: number }>;

/**
 * Writes rows of one table as JSON objects. HOT PATH: compiled once a relation, so that a row costs
 * neither a lookup nor an object a column.
 */
export class RowEncoder {
  readonly #kinds: readonly ColumnKind[];
  /** `{"name":` for the first column, `,"name":` for the others. */
  readonly #prefixes: readonly Uint8Array[];
  readonly #prefixBytes: number;
  readonly #placeholder: Uint8Array;
  /** Which columns of the tuple are written, in this order. */
  readonly #columns: readonly number[];

  constructor(
    columns: readonly EncodedColumn[],
    placeholder: string,
    only: readonly number[] = columns.map((_, index) => index),
  ) {
    this.#columns = only;
    this.#kinds = only.map((index) => {
      const { typeOid, typeModifier } = columnAt(columns, index);
      return kindOf(typeOid, typeModifier);
    });
    this.#prefixes = only.map((index, nth) =>
      Buffer.from(`${nth === 0 ? '' : ','}${JSON.stringify(columnAt(columns, index).name)}:`),
    );
    this.#prefixBytes = this.#prefixes.reduce((sum, prefix) => sum + prefix.length, 2);
    this.#placeholder = Buffer.from(JSON.stringify(placeholder));
  }

  /** More bytes than a row whose values take `valueBytes` as JSON can need. */
  bound(valueBytes: number): number {
    return this.#prefixBytes + this.#columns.length * (40 + this.#placeholder.length) + valueBytes;
  }

  /** More bytes than this row can need; for few columns. */
  boundOf(tuple: Tuple, old: Tuple | undefined): number {
    let valueBytes = 0;
    for (let nth = 0; nth < this.#columns.length; nth += 1) {
      const column = this.#columns[nth] as number;
      valueBytes += lengthOf(tuple, column);
      if (old !== undefined) valueBytes += lengthOf(old, column);
    }
    return this.bound(6 * valueBytes);
  }

  /** Writes the row and returns where it ends. Values that the WAL left out are taken from `old`, if it has them. */
  write(tuple: Tuple, old: Tuple | undefined, out: Buffer, start: number): number {
    let at = start;
    out[at++] = OPEN;
    const { starts, ends } = tuple;
    for (let nth = 0; nth < this.#columns.length; nth += 1) {
      const prefix = this.#prefixes[nth] as Uint8Array;
      for (let i = 0; i < prefix.length; i += 1) out[at++] = prefix[i] as number;
      const column = this.#columns[nth] as number;
      const from = column < tuple.count ? (starts[column] as number) : NULL;
      if (from >= 0)
        at = writeColumn(
          this.#kinds[nth] as ColumnKind,
          tuple.bytes,
          from,
          ends[column] as number,
          out,
          at,
        );
      else if (from === UNCHANGED) at = this.#writeUnchanged(nth, column, old, out, at);
      else at = writeNull(out, at);
    }
    out[at++] = CLOSE;
    return at;
  }

  #writeUnchanged(
    nth: number,
    column: number,
    old: Tuple | undefined,
    out: Buffer,
    at: number,
  ): number {
    const from = old === undefined ? UNCHANGED : (old.starts[column] as number);
    if (old !== undefined && from >= 0) {
      const kind = this.#kinds[nth] as ColumnKind;
      return writeColumn(kind, old.bytes, from, old.ends[column] as number, out, at);
    }
    out.set(this.#placeholder, at);
    return at + this.#placeholder.length;
  }
}

function lengthOf({ starts, ends }: Tuple, column: number): number {
  const start = starts[column] as number;
  return start < 0 ? 0 : (ends[column] as number) - start;
}

function writeNull(out: Buffer, at: number): number {
  out[at] = 0x6e;
  out[at + 1] = 0x75;
  out[at + 2] = 0x6c;
  out[at + 3] = 0x6c;
  return at + 4;
}

function columnAt(columns: readonly EncodedColumn[], index: number): EncodedColumn {
  return must(columns[index], 'the index is one of the columns');
}
