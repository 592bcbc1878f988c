import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NULL, textOf, Tuple, UNCHANGED } from './tuple.ts';

const columns = fc.array(
  fc.option(
    fc.string({ unit: 'binary' }).filter((each) => each.isWellFormed() && !each.includes('\0')),
  ),
  { minLength: 1, maxLength: 80 },
);

test('columns of a WAL tuple are found where they stand', () => {
  fc.assert(
    fc.property(columns, (values) => {
      const bytes = Buffer.concat([Buffer.from('xx'), walTuple(values), Buffer.from('yy')]);
      const tuple = new Tuple();
      assert.equal(tuple.readWal(bytes, 2), bytes.length - 2);
      assert.deepEqual(textsOf(tuple), values);
    }),
  );
});

test('columns of a row in COPY text are found, their escapes resolved', () => {
  fc.assert(
    fc.property(columns, columns, (first, second) => {
      const bytes = Buffer.from(copyRow(first) + copyRow(second));
      const tuple = new Tuple();
      const next = tuple.readCopy(bytes, 0, first.length);
      assert.deepEqual(textsOf(tuple), first);
      assert.equal(tuple.readCopy(bytes, next, second.length), bytes.length);
      assert.deepEqual(textsOf(tuple), second);
    }),
  );
});

test('a TOASTed value that an update left alone is told apart from null', () => {
  const tuple = new Tuple();
  tuple.readWal(Buffer.from([0, 2, 0x75, 0x6e]), 0);
  assert.deepEqual([...tuple.starts.subarray(0, 2)], [UNCHANGED, NULL]);
});

function textsOf(tuple: Tuple): (string | null)[] {
  return Array.from({ length: tuple.count }, (_, column) => textOf(tuple, column) ?? null);
}

function walTuple(values: readonly (string | null)[]): Buffer {
  const parts = [Buffer.from([values.length >> 8, values.length & 255])];
  for (const value of values) {
    if (value === null) parts.push(Buffer.from('n'));
    else {
      const text = Buffer.from(value);
      const length = Buffer.alloc(4);
      length.writeInt32BE(text.length);
      parts.push(Buffer.from('t'), length, text);
    }
  }
  return Buffer.concat(parts);
}

/** As COPY TO writes it: https://www.postgresql.org/docs/current/sql-copy.html */
function copyRow(values: readonly (string | null)[]): string {
  const escapes: Record<string, string> = {
    '\b': '\\b',
    '\f': '\\f',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    '\v': '\\v',
    '\\': '\\\\',
  };
  const field = (value: string | null) =>
    // oxlint-disable-next-line no-control-regex -- these are the characters that COPY escapes
    value === null ? '\\N' : value.replaceAll(/[\b\f\n\r\t\v\\]/g, (c) => escapes[c] ?? c);
  return `${values.map(field).join('\t')}\n`;
}
