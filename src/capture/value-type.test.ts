import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { valueTypeOf } from './value-type.ts';

const OIDS = {
  bool: 16,
  int8: 20,
  int4: 23,
  float8: 701,
  text: 25,
  timestamp: 1114,
  numeric: 1700,
};
const INT4_ARRAY = 1007;

const typesOf = (engine: 'native' | 'debezium', options: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(OIDS).map(([name, oid]) => [name, valueTypeOf(oid, { options }, engine)]),
  );

/** Of a type whose form no mode changes. */
const FIXED = { bool: 'boolean', int8: 'integer', int4: 'number', float8: 'float', text: 'text' };

describe('the type of a value', () => {
  const shop = { 'decimal.handling.mode': 'string', 'time.precision.mode': 'isostring' };

  test('is the same from both connectors, where they write the same', () => {
    const expected = { ...FIXED, timestamp: 'text', numeric: 'text' };
    assert.deepEqual(typesOf('native', shop), expected);
    assert.deepEqual(typesOf('debezium', shop), expected);
  });

  test("follows Debezium's modes of times and decimals", () => {
    const doubles = { 'decimal.handling.mode': 'double', 'time.precision.mode': 'connect' };
    assert.deepEqual(typesOf('debezium', doubles), {
      ...FIXED,
      timestamp: 'integer',
      numeric: 'float',
    });
    assert.deepEqual(typesOf('debezium', {}), {
      ...FIXED,
      timestamp: 'integer',
      numeric: 'unknown',
    });
  });

  test('is text from the native connector where Debezium has a form of its own', () => {
    assert.equal(valueTypeOf(INT4_ARRAY, { options: shop }, 'native'), 'text');
    assert.equal(valueTypeOf(INT4_ARRAY, { options: shop }, 'debezium'), 'unknown');
  });
});
