import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MemoryEventLog } from '../src/adapters/memory/event-log.ts';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { describeTables } from '../src/app/described-tables.ts';
import type { SqlValue } from '../src/ports/sql-engine.ts';
import { capturing, connectorConfig, recordsOf, until } from './capture.ts';
import { lakeTest } from './lake.ts';
import { temporaryPostgres } from './postgres.ts';

const TOPIC = 'test_server.public.t';

/** By type: what the lake has for it, and values as PostgreSQL reads them. */
const TYPES: Readonly<Record<string, readonly [lake: string, ...values: (string | null)[]]>> = {
  boolean: ['BOOLEAN', 'true', 'false', null],
  smallint: ['SMALLINT', '-32768', '32767', null],
  integer: ['INTEGER', '-2147483648', '2147483647', '0'],
  bigint: ['BIGINT', '9223372036854775807', '-9223372036854775808', '1'],
  oid: ['BIGINT', '4000000000'],
  real: ['FLOAT', '3.3', '-0', '1e-45', '3.4028235e38', 'NaN', 'Infinity', '-Infinity', '16777216'],
  'double precision': [
    'DOUBLE',
    '0.1',
    '5e-324',
    '1.7976931348623157e308',
    '-0',
    'NaN',
    '-Infinity',
  ],
  'numeric(10,2)': ['DECIMAL(10,2)', '99999999.99', '-0.01', '0', 'NaN'],
  'numeric(38,10)': ['DECIMAL(38,10)', '1234567890123456789012345678.0123456789'],
  'numeric(4,0)': ['DECIMAL(4,0)', '9999', '-1'],
  'numeric(3,5)': ['VARCHAR', '0.00999'],
  'numeric(5,-2)': ['VARCHAR', '12345'],
  'numeric(50,3)': ['VARCHAR', '1e40', 'NaN'],
  numeric: ['VARCHAR', '10.1111', '1e-30', 'NaN', 'Infinity', '-Infinity', '1e200'],
  money: ['VARCHAR', '-12.5'],
  'character varying(20)': ['VARCHAR', 'žš', ''],
  'character(4)': ['VARCHAR', 'ab', 'cdef'],
  '"char"': ['VARCHAR', 'x'],
  name: ['VARCHAR', 'some_name'],
  text: ['VARCHAR', '日本語 🎉', 'NULL', '{"a":1}', 'a\tb\nc"d\\e', '__debezium'],
  bytea: ['BLOB', '\\x00ff10', '\\x'],
  'bit(3)': ['VARCHAR', '101'],
  'bit varying(8)': ['VARCHAR', '1'],
  date: [
    'DATE',
    '2016-11-04',
    '0001-01-01',
    '9999-12-31',
    '20000-01-01',
    '0044-03-15 BC',
    '0001-12-31 BC',
    'infinity',
    '-infinity',
  ],
  'timestamp without time zone': [
    'TIMESTAMP',
    '2016-11-04 13:51:30.123456',
    '1582-10-10',
    '1970-01-01',
    '0001-01-01',
    '21016-11-04 13:51:30.124',
    '4713-12-31 23:59:59.999999 BC',
    'infinity',
    '-infinity',
    '294276-12-31 23:59:59',
  ],
  'timestamp(0) without time zone': ['TIMESTAMP', '2016-11-04 13:51:30.6'],
  'timestamp with time zone': [
    'TIMESTAMPTZ',
    '2016-11-04 13:51:30.123456+02:00',
    '2016-11-04 13:51:30.1+02',
    '0044-03-15 12:00:00+00 BC',
    'infinity',
    '-infinity',
    '20000-01-01 00:00:00+00',
  ],
  'timestamp(3) with time zone': ['TIMESTAMPTZ', '2016-11-04 13:51:30.123456+02:00'],
  time: ['VARCHAR', '13:51:30.123456', '00:00:00'],
  interval: ['VARCHAR', '1 year 2 mons -3 days 04:05:06.789', '0'],
  json: ['VARCHAR', '{ "a":1 , "b" : [1,2, {"c":null}] }', '"str"', 'null'],
  jsonb: ['VARCHAR', '{"a": 1e3, "b": "x"}', 'null'],
  xml: ['VARCHAR', '<foo>bar</foo>'],
  uuid: ['VARCHAR', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
  inet: ['VARCHAR', '192.168.2.0/12'],
  cidr: ['VARCHAR', '2001:db8::/32'],
  macaddr: ['VARCHAR', '08:00:2b:01:02:03'],
  point: ['VARCHAR', '(-1.5,2.25)'],
  box: ['VARCHAR', '(1,1),(0,0)'],
  tsrange: ['VARCHAR', '[2019-03-31 15:30:00,infinity)'],
  int4multirange: ['VARCHAR', '{[1,3),[5,9)}'],
  tsvector: ['VARCHAR', "'direct':6 'test':4"],
  mood: ['VARCHAR', 'sad'],
  price: ['VARCHAR', '123.450'],
  pair: ['VARCHAR', '(1,"x y")'],
  'integer[]': ['INTEGER[]', '{1,-2,NULL}', '{}', '{{1,2},{3,4}}', '[0:1]={5,6}'],
  'bigint[]': ['BIGINT[]', '{1550166368505037572}'],
  'boolean[]': ['BOOLEAN[]', '{t,f,NULL}'],
  'real[]': ['FLOAT[]', '{1.5,NaN}'],
  'double precision[]': ['DOUBLE[]', '{0.1,-2.25}'],
  'numeric(10,2)[]': ['DECIMAL(10,2)[]', '{1.2,3.4}', '{NaN}'],
  'numeric[]': ['VARCHAR[]', '{1.1,2.22,NaN}'],
  'text[]': ['VARCHAR[]', '{"one","a, b","c\\"d","e\\\\f","","NULL",NULL,null,"{}","it\'s"," "}'],
  'date[]': ['DATE[]', '{2016-11-04,infinity}', '{"0044-03-15 BC"}'],
  'timestamp without time zone[]': ['TIMESTAMP[]', '{2020-04-01 00:01:02.5,infinity}'],
  'timestamp with time zone[]': ['TIMESTAMPTZ[]', '{2020-04-01 00:01:02+02}'],
  'time without time zone[]': ['VARCHAR[]', '{00:01:02}'],
  'uuid[]': ['VARCHAR[]', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'],
  'bytea[]': ['BLOB[]', '{"\\\\x00ff","\\\\x"}'],
  'jsonb[]': ['VARCHAR[]', '{"{\\"a\\": [1, 2]}"}'],
  'mood[]': ['VARCHAR[]', '{sad,ok}'],
};

describe('a value in the lake is what PostgreSQL shows', { timeout: 100_000 }, () => {
  test('of every type, at its limits and at random', async () => {
    await using server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    await client.query("SET TimeZone = 'UTC'");
    await client.query("CREATE TYPE mood AS ENUM ('sad', 'ok')");
    await client.query('CREATE DOMAIN price AS numeric(10,3)');
    await client.query('CREATE TYPE pair AS (a int, b text)');
    const types = Object.keys(TYPES);
    const columns = types.map((type, index) => `c${index} ${type}`);
    await client.query(`CREATE TABLE t (pk int PRIMARY KEY, ${columns.join(', ')})`);
    const rows = [...givenRows(types), ...randomRows(types)];
    for (const [pk, values] of rows.entries()) {
      const texts = values.map((value, index) => `CAST($${index + 2}::text AS ${types[index]})`);
      await client.query(`INSERT INTO t VALUES ($1, ${texts.join(', ')})`, [pk, ...values]);
    }

    const log = new MemoryEventLog();
    const config = connectorConfig(server);
    const { stop } = await capturing(server, log);
    await until(async () => (await recordsOf(log, TOPIC)).length >= rows.length);
    await stop();
    const [table] = await describeTables(server, config, 'native');
    await using t = await lakeTest(table, { log });
    const { tables } = await t.write({ isTable: (topic) => topic === TOPIC });
    assert.deepEqual(
      tables[TOPIC]?.schemas[0]?.columns.slice(1).map(({ type }) => type),
      Object.values(TYPES).map(([type]) => type),
    );

    const names = types.map((_, index) => `c${index}`).join(', ');
    const found = await t.changes(`__unfit, ${names}`, TOPIC);
    const expected = await client.query(`SELECT ${names} FROM t ORDER BY pk`);
    const listed = new Set(types.filter((type) => type.endsWith('[]')));
    const unfit = new Set<string>();
    for (const [pk, [beside, ...values]] of found.entries()) {
      const kept = JSON.parse(typeof beside === 'string' ? beside : '{}') as Record<string, string>;
      for (const [index, type] of types.entries()) {
        const text = expected[pk]?.[`c${index}`] ?? null;
        const value = kept[`c${index}`] ?? values[index] ?? null;
        if (kept[`c${index}`] !== undefined) unfit.add(type);
        const where = `${type} of row ${pk}`;
        if (listed.has(type) && isList(value)) {
          const elements = await elementsOf(client, text, type);
          const shown = value.map((each, nth) => comparable(each, elements[nth] ?? null, type));
          assert.deepEqual(shown, elements, where);
        } else assert.equal(comparable(value, text, type), text, where);
      }
    }
    assert.deepEqual([...unfit].toSorted(byText), [...UNFIT].toSorted(byText));
  });
});

/** What is kept beside its column: NaN, before Christ, past the year 294247, of more dimensions or from another index on. */
const UNFIT = [
  'numeric(10,2)',
  'numeric(10,2)[]',
  'date',
  'date[]',
  'timestamp without time zone',
  'timestamp with time zone',
  'integer[]',
];

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}

function* givenRows(types: readonly string[]): Generator<(string | null)[]> {
  const longest = Math.max(...Object.values(TYPES).map((values) => values.length - 1));
  for (let nth = 0; nth < longest; nth += 1)
    yield types.map((type) => TYPES[type]?.[nth + 1] ?? null);
}

/** Of the types of which PostgreSQL reads what is made here. */
function randomRows(types: readonly string[]): (string | null)[][] {
  const text = fc
    .string({ unit: 'binary', maxLength: 40 })
    .map((each) => each.replaceAll('\0', ''));
  const at = fc.date({
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59Z'),
    noInvalidDate: true,
  });
  const decimal = fc.tuple(fc.bigInt({ min: -(10n ** 9n), max: 10n ** 9n }), fc.nat(99));
  const made: Readonly<Record<string, fc.Arbitrary<string>>> = {
    integer: fc.integer().map(String),
    bigint: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    real: fc.float({ noDefaultInfinity: true }).map(String),
    'double precision': fc.double().map(String),
    'numeric(38,10)': decimal.map(([whole, part]) => `${whole}.${part}`),
    numeric: decimal.map(([whole, part]) => `${whole}.${part}`),
    text,
    bytea: fc
      .uint8Array({ maxLength: 40 })
      .map((each) => `\\x${Buffer.from(each).toString('hex')}`),
    'timestamp without time zone': at.map((each) => each.toISOString()),
    'timestamp with time zone': at.map((each) => each.toISOString()),
    date: at.map((each) => each.toISOString().slice(0, 10)),
    'text[]': fc
      .array(fc.option(text))
      .map(
        (items) =>
          `{${items.map((each) => (each === null ? 'NULL' : JSON.stringify(each).replaceAll(/\\u[0-9a-f]{4}|\\[bfnrt]/g, '?'))).join(',')}}`,
      ),
    'double precision[]': fc.array(fc.double()).map((items) => `{${items.join(',')}}`),
  };
  const row = fc.tuple(
    ...types.map((type) => {
      const arbitrary = made[type];
      return arbitrary === undefined ? fc.constant(null) : fc.option(arbitrary);
    }),
  );
  return fc.sample(row, 60);
}

async function elementsOf(
  client: PostgresClient,
  text: string | null,
  type: string,
): Promise<(string | null)[]> {
  const rows = await client.query(
    `SELECT each AS text FROM unnest($1::text::${type}) WITH ORDINALITY AS items (each, nth) ORDER BY nth`,
    [text],
  );
  return rows.map(({ text: each }) => each ?? null);
}

function comparable(value: SqlValue, text: string | null, type: string): string | null {
  if (typeof value !== 'number' || text === null) return textOf(value);
  // PostgreSQL and JavaScript write some numbers with an exponent, not the same ones.
  const exact = type.startsWith('real') ? Math.fround : Number;
  return exact(value) === exact(Number(text)) ? text : textOf(value);
}

// Array.isArray does not tell a readonly array from an object.
function isList(value: SqlValue): value is readonly SqlValue[] {
  return Array.isArray(value);
}

function textOf(value: SqlValue): string | null {
  if (value === null) return null;
  if (typeof value === 'boolean') return value ? 't' : 'f';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
