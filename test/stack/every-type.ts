/** Of each type, values as SQL writes them; null is tried with all. */
type Types = readonly (readonly [type: string, ...literals: string[]])[];

/** What connectors write alike in the modes of the shop's connector.json. */
export const TYPES: Types = [
  ['smallint', '-32768', '32767'],
  ['integer', '-2147483648', '0'],
  ['bigint', '9223372036854775807', '1234567890123', '-9223372036854775808'],
  ['oid', '4000000000'],
  ['real', '3.3', `'NaN'`, '3', '-0', `'Infinity'`, '1e-30', '16777216', '1e10'],
  ['double precision', '0.1', '1e300', '5e-324', `'-Infinity'`, '1e15', '123456789012345680'],
  ['boolean', 'true', 'false'],
  [
    'numeric',
    '-1.5',
    `'NaN'`,
    `'Infinity'`,
    '12345678901234567890.123456789012345678901234567890',
    '0',
    '1e-20',
    '1e20',
  ],
  ['numeric(10, 2)', '1.1', '-99999999.99', '0', `'NaN'`],
  ['numeric(38, 10)', '1234567890123456789012345678.0123456789'],
  ['every.amount', '123.45'],
  ['date', `'2016-11-04'`, `'0001-01-01'`, `'9999-12-31'`, `'20160-01-01'`],
  ['time', `'13:51:30.123456'`, `'24:00:00'`, `'00:00:00'`, `'13:51:30.1'`],
  ['time(3)', `'13:51:30.123'`],
  ['timetz', `'13:51:30.123789+02:00'`, `'00:00:00-15:59'`, `'23:59:59.5+00'`],
  [
    'timestamp',
    `'2016-11-04T13:51:30.123456'`,
    `'1582-10-10'`,
    `'21016-11-04T13:51:30.1'`,
    `'1969-12-31 23:59:59.999999'`,
  ],
  ['timestamp(3)', `'2016-11-04T13:51:30.12'`],
  ['timestamp(0)', `'2016-11-04T13:51:30.6'`],
  [
    'timestamptz',
    `'2016-11-04T13:51:30.123456+02:00'`,
    `'2016-11-04T13:51:30.1+02:00'`,
    `'2016-11-04T13:51:30-05'`,
  ],
  ['timestamptz(3)', `'2016-11-04T13:51:30.12+00'`, `'2016-11-04T13:51:30+00'`],
  ['timestamptz(0)', `'2016-11-04T13:51:30.6+02:00'`],
  ['timetz(3)', `'13:51:30.12+02:00'`, `'13:51:30+00'`],
  ['time(0)', `'13:51:30.6'`],
  ['bytea', `'\\x'`, `'\\xdeadbeef00'`],
  ['text', `''`, `'日本語 🎉'`],
  ['varchar(5)', `'ab'`, `'žš'`],
  ['char(4)', `'ab'`, `'日'`],
  ['"char"', `'x'`],
  ['every.short_text', `'x'`],
  ['every.mood', `'sad'`],
  ['json', `'{ "a":1 , "b" : [1,2, {"c":null}] }'`, `'"str"'`],
  ['jsonb', `'{"b": [1, 2.50, "ü"], "a": null}'`, `'null'`],
  ['xml', `'<a b="c">d</a>'`],
  ['uuid', `'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`],
  ['inet', `'192.168.2.0/12'`, `'::1'`],
  ['cidr', `'2001:db8::/32'`],
  ['macaddr', `'08-00-2b-01-02-03'`],
  ['macaddr8', `'08:00:2b:01:02:03:04:05'`],
  ['int4range', `'[1000,6000)'`, `'empty'`],
  ['int8range', `'[1,)'`],
  ['numrange', `'(1.5,2.50]'`],
  ['tsrange', `'[2019-03-31 15:30:00, infinity)'`],
  ['tstzrange', `'[2017-06-05 11:29:12.549426+00,)'`],
  ['daterange', `'[2019-03-31, 2020-01-01]'`],
  ['tsvector', `to_tsvector('english', 'a test of vectors')`],
];
/** What Debezium writes so when it streams, and otherwise when it copies. */
export const STREAMED: Types = [
  ['date', `'4713-01-01 BC'`, `'0044-03-15 BC'`],
  ['timestamp', `'4713-12-31T23:59:59.999999 BC'`],
  ['timestamptz', `'infinity'`, `'-infinity'`, `'0044-03-15 12:00+00 BC'`],
];

export function typedTable(table: string, types: Types): string {
  const columns = types.map(([type], index) => `c${index} ${type}`);
  return `create table ${table} (id int primary key, ${columns.join(', ')});
    alter table ${table} replica identity full;`;
}

/** A row for each value of the type that has most, and one of nulls. */
export function typedRows(table: string, types: Types, from: number): string {
  const most = Math.max(...types.map((type) => type.length - 1));
  const rows = Array.from({ length: most + 1 }, (_, row) => {
    const values = types.map(([, ...literals]) =>
      row === most ? 'null' : (literals[row % literals.length] ?? 'null'),
    );
    return `(${[from + row, ...values].join(', ')})`;
  });
  return `insert into ${table} values ${rows.join(', ')}`;
}
