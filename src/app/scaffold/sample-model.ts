import { sqlIdentifier } from '../../batch/models/literal.ts';
import type { DescribedTable } from '../described-tables.ts';

/** A new pipeline's model, and the test beside it. */
export type SampleModel = Readonly<{ name: string; sql: string; test: string }>;

/**
 * A model that any table can have: its rows by day where it has a time, else their number. None of a
 * table whose name can't stand in a template.
 */
export function sampleModel(table: DescribedTable): SampleModel | undefined {
  const { schema, name } = table;
  const quote = `${schema}${name}`.includes("'") ? '"' : "'";
  if (/["\\\n]|\}\}|\*\//.test(`${schema}${name}`)) return undefined;
  const source = `{{ source(${quote}${schema}${quote}, ${quote}${name}${quote}) }}`;
  const time = table.columns.find(
    (column) =>
      /^(timestamp|date\b)/.test(column.sqlType) &&
      !column.sqlType.endsWith(']') &&
      !column.name.includes('*/'),
  );
  return time === undefined
    ? rowCount(table, source)
    : rowsPerDay(table, source, { name: time.name, isRequired: !time.isNullable });
}

function rowsPerDay(
  { schema, name }: DescribedTable,
  source: string,
  time: Readonly<{ name: string; isRequired: boolean }>,
): SampleModel {
  const column = sqlIdentifier(time.name);
  const key = JSON.stringify(time.name);
  return {
    name: 'rows_per_day',
    sql: `/*
materialization: table
tags: [daily]
description: ${JSON.stringify(`How many rows of ${schema}.${name} there are of each day.`)}
columns:
  day: { description: The day in UTC., tests: [unique, not_null] }
  row_count: { description: Rows of that day. }
tests:
  - expression: row_count > 0
serve:
  - { key: 'rows_per_day:latest', limit: 366 }
*/
SELECT CAST(${column} AS DATE) AS day, COUNT(*) AS row_count
FROM ${source}
WHERE ${column} IS NOT NULL
GROUP BY CAST(${column} AS DATE)
ORDER BY day DESC
`,
    test: `- name: counts the rows of each day, the newest day first
  given:
    ${JSON.stringify(`${schema}.${name}`)}:
      - { ${key}: '2026-01-31 08:00:00' }
      - { ${key}: '2026-01-31 23:59:59' }
      - { ${key}: '2026-02-01 00:00:00' }
${time.isRequired ? '' : `      - { ${key}: null }\n`}  ordered: true
  expect:
    - { day: '2026-02-01', row_count: 1 }
    - { day: '2026-01-31', row_count: 2 }
`,
  };
}

function rowCount({ schema, name, columns }: DescribedTable, source: string): SampleModel {
  const row = `{ ${JSON.stringify(columns[0]?.name ?? '')}: null }`;
  return {
    name: 'row_count',
    sql: `/*
materialization: table
tags: [daily]
description: ${JSON.stringify(`How many rows ${schema}.${name} has.`)}
columns:
  row_count: { tests: [not_null] }
tests:
  - row_count: { min: 1, max: 1 }
serve:
  - key: row_count:latest
*/
SELECT COUNT(*) AS row_count
FROM ${source}
`,
    test: `- name: counts all rows
  given:
    ${JSON.stringify(`${schema}.${name}`)}:
      - ${row}
      - ${row}
  expect:
    - { row_count: 2 }

- name: counts none where there are none
  expect:
    - { row_count: 0 }
`,
  };
}
