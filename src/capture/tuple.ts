/** In `starts`: the column is null. */
export const NULL = -1;
/** In `starts`: a TOASTed value that the update left alone, and that the WAL therefore does not hold. */
export const UNCHANGED = -2;

const TAB = 0x09;
const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;

/**
 * Where the columns of one row stand in a buffer, as text. HOT PATH: reused for every row, so that
 * no column costs an object. Both forms in which PostgreSQL sends rows end up here, and are
 * encoded by the same code: a copied row and a streamed one give the same bytes.
 */
export class Tuple {
  bytes: Buffer = Buffer.alloc(0);
  count = 0;
  starts = new Int32Array(64);
  ends = new Int32Array(64);

  /**
   * Reads the TupleData at `at` and returns where it ends.
   * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
   */
  readWal(bytes: Buffer, at: number): number {
    this.bytes = bytes;
    const count = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    this.#hold(count);
    const { starts, ends } = this;
    let next = at + 2;
    for (let column = 0; column < count; column += 1) {
      const kind = bytes[next];
      next += 1;
      if (kind === 0x74 /* t */) {
        const length = bytes.readInt32BE(next);
        starts[column] = next + 4;
        next += 4 + length;
        ends[column] = next;
      } else if (kind === 0x6e /* n */) starts[column] = NULL;
      else if (kind === 0x75 /* u */) starts[column] = UNCHANGED;
      else throw new Error(`a column of kind ${kind} in the WAL: expected text, null or unchanged`);
    }
    return next;
  }

  /**
   * Reads the row in COPY's text format that starts at `at`, and returns where the next one does.
   * Escapes are resolved in place: a value never grows by that.
   * https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2
   */
  readCopy(bytes: Buffer, at: number, columns: number): number {
    this.bytes = bytes;
    this.#hold(columns);
    if (columns === 0) return bytes.indexOf(NEWLINE, at) + 1;
    let next = at;
    for (let column = 0; column < columns; column += 1) next = this.#readCopyField(column, next);
    return next;
  }

  #readCopyField(column: number, at: number): number {
    const { bytes, starts, ends } = this;
    let read = at;
    let c = bytes[read];
    while (c !== TAB && c !== NEWLINE && c !== BACKSLASH && c !== undefined) c = bytes[++read];
    starts[column] = at;
    ends[column] = read;
    if (c === BACKSLASH) {
      if (bytes[read + 1] === 0x4e /* N */ && read === at) {
        starts[column] = NULL;
        return read + 3;
      }
      let write = read;
      while (c !== TAB && c !== NEWLINE && c !== undefined) {
        if (c === BACKSLASH) c = unescaped(bytes[++read] ?? BACKSLASH);
        bytes[write++] = c;
        c = bytes[++read];
      }
      ends[column] = write;
    }
    return read + 1;
  }

  #hold(columns: number): void {
    this.count = columns;
    if (columns <= this.starts.length) return;
    this.starts = new Int32Array(columns);
    this.ends = new Int32Array(columns);
  }
}

/** The text of a column, for what is not hot. */
export function textOf(tuple: Tuple, column: number): string | undefined {
  const start = tuple.starts[column] ?? NULL;
  return start < 0 ? undefined : tuple.bytes.toString('utf8', start, tuple.ends[column]);
}

/** Octal and hexadecimal escapes are read by COPY FROM, but never written by COPY TO. */
function unescaped(code: number): number {
  switch (code) {
    case 0x62:
      return 0x08;
    case 0x66:
      return 0x0c;
    case 0x6e:
      return 0x0a;
    case 0x72:
      return 0x0d;
    case 0x74:
      return 0x09;
    case 0x76:
      return 0x0b;
    default:
      return code;
  }
}
