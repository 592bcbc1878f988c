import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { jsonBytesOf, kindOf, writeColumn } from './column-encoder.ts';

const OID = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int4: 23,
  text: 25,
  float8: 701,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  timetz: 1266,
  numeric: 1700,
} as const;

const encoded = (type: keyof typeof OID, text: string, typeModifier = -1): string => {
  const source = Buffer.from(`..${text}..`);
  const end = source.length - 2;
  const out = Buffer.alloc(6 * text.length * 4 + 64);
  const length = writeColumn(kindOf(OID[type], typeModifier), source, 2, end, out, 0);
  return out.toString('utf8', 0, length);
};

test('text becomes the string that JSON.parse gives back, whatever it holds', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      fc.pre(text.isWellFormed());
      assert.equal(JSON.parse(encoded('text', text)), text);
    }),
  );
});

test('no text takes more than is reserved for it, nor does a long one reserve much more', () => {
  const text = fc.array(fc.constantFrom('a', '"', '\\', '\n', '\u0001', '\u001f', 'ü', '\u007f'));
  fc.assert(
    fc.property(text, fc.constantFrom(1, 20_000), (parts, times) => {
      const source = Buffer.from(parts.join('').repeat(parts.length > 20 ? 1 : times));
      const out = Buffer.alloc(6 * source.length + 2);
      const length = writeColumn(kindOf(OID.text, -1), source, 0, source.length, out, 0) - 2;
      const reserved = jsonBytesOf(source, 0, source.length);
      assert.ok(length <= reserved, `${length} > ${reserved}`);
      if (source.length > 20_000) assert.equal(reserved, length);
    }),
    { numRuns: 50 },
  );
});

test('numbers keep their digits', () => {
  assert.equal(encoded('int8', '9223372036854775807'), '9223372036854775807');
  assert.equal(encoded('float8', '1e+300'), '1e+300');
  assert.equal(encoded('float8', '-Infinity'), '"-Infinity"');
  assert.equal(encoded('float8', 'NaN'), '"NaN"');
});

test('values look as Debezium writes them with decimals as strings and times as ISO text', () => {
  const cases = [
    ['bool', 't', true],
    ['bool', 'f', false],
    ['numeric', '1.10', '1.10'],
    [
      'numeric',
      '12345678901234567890.123456789012345678901234567890',
      '12345678901234567890.123456789012345678901234567890',
    ],
    ['numeric', 'NaN', 'NAN'],
    ['numeric', 'Infinity', 'POSITIVE_INFINITY'],
    ['numeric', '-Infinity', 'NEGATIVE_INFINITY'],
    ['bytea', '\\x010203', 'AQID'],
    ['timestamp', '2016-11-04 13:51:30.123456', '2016-11-04T13:51:30.123456Z'],
    ['timestamp', '2016-11-04 13:51:31', '2016-11-04T13:51:31Z'],
    ['timestamp', '21016-11-04 13:51:30.124', '+21016-11-04T13:51:30.124Z'],
    ['timestamp', '4713-12-31 23:59:59.999999 BC', '-4712-12-31T23:59:59.999999Z'],
    ['timestamp', 'infinity', '+294247-01-10T04:00:25.2Z'],
    ['date', 'infinity', '+292278994-08-17Z'],
    ['timestamptz', '2016-11-04 11:51:30.123456+00', '2016-11-04T11:51:30.123456Z'],
    ['timestamptz', '2016-11-04 11:51:30.1+00', '2016-11-04T11:51:30.100000Z'],
    ['timestamptz', '2016-11-04 11:51:31+00', '2016-11-04T11:51:31.000000Z'],
    ['timestamptz', '2016-11-04 11:51:31+00', '2016-11-04T11:51:31Z', 0],
    ['timestamptz', '2016-11-04 11:51:31.12+00', '2016-11-04T11:51:31.120Z', 3],
    ['timestamptz', '0044-03-15 12:00:00+00 BC', '-0043-03-15T12:00:00.000000Z'],
    ['timestamptz', 'infinity', 'infinity'],
    ['date', '0001-01-01', '0001-01-01Z'],
    ['date', '4713-01-01 BC', '-4712-01-01Z'],
    ['time', '24:00:00', '00:00:00Z'],
    ['time', '13:51:30.123456', '13:51:30.123456Z'],
    ['timetz', '13:51:30.123789+02', '11:51:30.123789Z'],
    ['timetz', '00:00:00-15:59', '15:59:00Z'],
  ] as const;
  for (const [type, text, value, typeModifier] of cases)
    assert.deepEqual(JSON.parse(encoded(type, text, typeModifier)), value);
});

test('types that are not known are written as their text', () => {
  const source = Buffer.from('{1,2}');
  const out = Buffer.alloc(64);
  const length = writeColumn(kindOf(999_999, -1), source, 0, source.length, out, 0);
  assert.equal(out.toString('utf8', 0, length), '"{1,2}"');
});
