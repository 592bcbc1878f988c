import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duckdbType, sparkSchema } from './types.ts';

test('names columns and types as Spark does, nested ones too', () => {
  const columns = [
    ['id', 'BIGINT', '`id` BIGINT'],
    ['a`b', 'DECIMAL(10,2)', '`a``b` DECIMAL(10,2)'],
    ['at', 'TIMESTAMP', '`at` TIMESTAMP_NTZ'],
    ['zone', 'TIMESTAMP WITH TIME ZONE', '`zone` TIMESTAMP_LTZ'],
    ['zone', 'TIMESTAMPTZ', '`zone` TIMESTAMP_LTZ'],
    ['texts', 'VARCHAR[][]', '`texts` ARRAY<ARRAY<STRING>>'],
    ['by', 'MAP(VARCHAR, DECIMAL(4,1)[])', '`by` MAP<STRING, ARRAY<DECIMAL(4,1)>>'],
    [
      'row',
      'STRUCT(a INTEGER, "b, ""c" STRUCT(d BLOB))',
      '`row` STRUCT<`a`: INTEGER, `b, "c`: STRUCT<`d`: BINARY>>',
    ],
    // What DuckDB writes these as.
    ['sum', 'HUGEINT', '`sum` DOUBLE'],
    ['json', 'JSON', '`json` STRING'],
  ] as const;
  for (const [name, type, expected] of columns)
    assert.equal(sparkSchema([{ name, type }]), expected);
  const two = [
    { name: 'a', type: 'DATE' },
    { name: 'b', type: 'BOOLEAN' },
  ];
  assert.equal(sparkSchema(two), '`a` DATE, `b` BOOLEAN');
});

test('names types as DuckDB does', () => {
  assert.equal(duckdbType('integer'), 'INTEGER');
  assert.equal(duckdbType('decimal(38,9)'), 'DECIMAL(38,9)');
  assert.equal(duckdbType('timestamp_ntz'), 'TIMESTAMP');
  assert.equal(duckdbType('timestamp'), 'TIMESTAMPTZ');
  assert.equal(duckdbType({ type: 'array', elementType: 'string' }), 'VARCHAR[]');
  const fields = [
    { name: 'a', type: 'long' },
    { name: 'b "c"', type: 'binary' },
  ];
  assert.equal(
    duckdbType({ type: 'map', keyType: 'string', valueType: { type: 'struct', fields } }),
    'MAP(VARCHAR, STRUCT(a BIGINT, "b ""c""" BLOB))',
  );
});
