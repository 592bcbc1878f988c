import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DuckDbEngine } from '../../adapters/duckdb/engine.ts';
import type { SqlValue } from '../../ports/sql-engine.ts';
import { sqlString } from '../models/literal.ts';
import { lakeTypeOf, SHOP_MODES, type ValueModes, valueModesOf, valueSql } from './column-type.ts';

describe('lakeTypeOf', () => {
  for (const [sqlType, type] of [
    ['numeric(10,2)', 'DECIMAL(10,2)'],
    ['numeric(38,38)', 'DECIMAL(38,38)'],
    ['numeric(39,2)', 'VARCHAR'],
    ['numeric(3,-2)', 'VARCHAR'],
    ['numeric(2,4)', 'VARCHAR'],
    ['numeric', 'VARCHAR'],
    ['timestamp(3) without time zone', 'TIMESTAMP'],
    ['timestamp with time zone', 'TIMESTAMPTZ'],
    ['character varying(20)[]', 'VARCHAR[]'],
    ['numeric(10,2)[]', 'DECIMAL(10,2)[]'],
    ['bytea', 'BLOB'],
    ['"odd[] type"', 'VARCHAR'],
  ] as const)
    test(`of ${sqlType} is ${type}`, () => assert.equal(lakeTypeOf(sqlType), type));
});

describe('what Debezium writes', () => {
  let dir: string;
  let engine: DuckDbEngine;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'millrace-types-'));
    engine = await DuckDbEngine.open({ memoryLimit: '128MB', threads: 1, tempDirectory: dir });
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });

  /** The value in the lake of JSON's text, and whether it is a placeholder. */
  const read = async (
    raw: string,
    sqlType: string,
    modes: Partial<ValueModes> = {},
  ): Promise<SqlValue | undefined> => {
    const column = { type: lakeTypeOf(sqlType), sqlType };
    const { value, isUnavailable } = valueSql('raw', column, { ...SHOP_MODES, ...modes });
    const { rows } = await engine.query(
      `SELECT ${value}, ${isUnavailable ?? 'false'} FROM (SELECT ${sqlString(raw)} AS raw)`,
    );
    const [found, isLeftOut] = rows[0] ?? [];
    return isLeftOut === true ? 'left out' : found;
  };

  for (const [raw, sqlType, expected, modes] of [
    // decimal.handling.mode=double
    ['1.1', 'numeric(3,2)', '1.10'],
    ['1.0', 'numeric(4,0)', '1'],
    ['1e-08', 'numeric(20,8)', '0.00000001'],
    // decimal.handling.mode=precise can't be told from text, and is refused before
    ['bg==', 'numeric(3,2)', null],
    // time.precision.mode
    [
      '1478267490123456',
      'timestamp without time zone',
      '2016-11-04 13:51:30.123456',
      { times: 'adaptive' },
    ],
    [
      '1478267491000',
      'timestamp(0) without time zone',
      '2016-11-04 13:51:31',
      { times: 'adaptive' },
    ],
    [
      '1478267490123',
      'timestamp without time zone',
      '2016-11-04 13:51:30.123',
      { times: 'connect' },
    ],
    [
      '1478267490123456',
      'timestamp(3) without time zone',
      '2016-11-04 13:51:30.123456',
      { times: 'microseconds' },
    ],
    ['-210831897600000001', 'timestamp without time zone', null, { times: 'adaptive' }],
    ['9223372036825200000', 'timestamp without time zone', 'infinity', { times: 'adaptive' }],
    ['9223372036825200', 'timestamp without time zone', 'infinity', { times: 'connect' }],
    ['-719162', 'date', '0001-01-01', { times: 'adaptive' }],
    ['49890123456', 'time without time zone', '13:51:30.123456', { times: 'adaptive' }],
    ['49890123', 'time without time zone', '13:51:30.123', { times: 'connect' }],
    ['11:51:30.123789Z', 'time with time zone', '11:51:30.123789+00', { times: 'connect' }],
    ['[17109,17110]', 'date[]', ['2016-11-04', '2016-11-05'], { times: 'adaptive' }],
    [
      '[1585699262000]',
      'timestamp(3) without time zone[]',
      ['2020-04-01 00:01:02'],
      { times: 'adaptive' },
    ],
    // binary.handling.mode
    ['AQID', 'bytea', '\\x010203'],
    ['010203', 'bytea', '\\x010203', { binary: 'hex' }],
    ['-_8=', 'bytea', '\\xfbff', { binary: 'base64-url-safe' }],
    // arrays, and what has no type of its own
    ['[1,-2,null]', 'integer[]', [1, -2, null]],
    ['[null,null]', 'integer[]', [null, null]],
    ['["one","a \\"b\\", c"]', 'text[]', ['one', 'a "b", c']],
    ['["2016-11-04Z"]', 'date[]', ['2016-11-04']],
    ['["1.20","3.40"]', 'numeric(10,2)[]', ['1.20', '3.40']],
    ['["AAEC"]', 'bytea[]', ['\\x000102']],
    ['["00:01:02Z"]', 'time without time zone[]', ['00:01:02']],
    ['2629800000000', 'interval', '2629800000000'],
    ['{"x":-1.5}', 'point', '{"x":-1.5}'],
    // what an update left alone
    ['__debezium_unavailable_value', 'text', 'left out'],
    ['__debezium_unavailable_value', 'numeric(10,2)', 'left out'],
    ['__debezium_unavailable_value', 'bytea', 'left out'],
    ['X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==', 'bytea', 'left out'],
    ['["__debezium_unavailable_value"]', 'text[]', 'left out'],
    ['{"__debezium_unavailable_value":"__debezium_unavailable_value"}', 'hstore', 'left out'],
    ['gone', 'text', 'left out', { placeholder: 'gone' }],
    // what does not fit
    ['1.005', 'numeric(10,2)', null],
    ['1.50', 'integer', null],
    ['007', 'integer', null],
    ['40000', 'smallint', null],
    ['0.1234567890123', 'real', null],
    ['2016-11-04T10:00:00Z', 'date', null],
    ['0000-03-15Z', 'date', null],
  ] as const)
    test(`${raw} of type ${sqlType}${modes === undefined ? '' : ` ${JSON.stringify(modes)}`} is ${JSON.stringify(expected)}`, async () => {
      assert.deepEqual(await read(raw, sqlType, modes), expected);
    });
});

describe('valueModesOf', () => {
  test('names each option in whose mode values can not be read, and what to set', () => {
    assert.throws(
      () => valueModesOf({ 'time.precision.mode': 'structured' }, false),
      (error: Error) =>
        /decimal\.handling\.mode: .* mode precise; set string/.test(error.message) &&
        /time\.precision\.mode: .* mode structured; set isostring/.test(error.message),
    );
  });

  test('takes those that can', () => {
    const options = {
      'decimal.handling.mode': 'double',
      'time.precision.mode': 'connect',
      'binary.handling.mode': 'hex',
      'unavailable.value.placeholder': 'gone',
    };
    assert.deepEqual(valueModesOf(options, false), {
      times: 'connect',
      binary: 'hex',
      placeholder: 'gone',
    });
  });

  test('of the native connector are always the same', () => {
    assert.deepEqual(valueModesOf({ 'time.precision.mode': 'adaptive' }, true), SHOP_MODES);
  });
});
