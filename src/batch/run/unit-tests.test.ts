import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { TemporaryBatch } from '../../../test/temporary-batch.ts';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import { compileModels } from '../models/compile.ts';
import type { Problem } from '../models/problem.ts';
import { loadModels } from '../models/project.ts';
import type { SourceTable } from '../models/source-table.ts';
import { readUnitTests } from './unit-test-file.ts';
import { runUnitTests, type UnitTestReport } from './unit-tests.ts';

const ORDERS: SourceTable = {
  schema: 'public',
  name: 'orders',
  columns: [
    { name: 'id', type: 'INTEGER' },
    { name: 'total', type: 'DECIMAL(10,2)' },
    { name: 'placed_at', type: 'TIMESTAMP' },
    { name: 'tags', type: 'VARCHAR[]' },
    { name: 'raw', type: 'BLOB' },
    { name: 'note', type: 'VARCHAR' },
  ],
  dropped: [],
};

const MODELS = {
  kept: `SELECT * FROM {{ source('orders') }}`,
  totals: `/*
dialect: duckdb
*/
SELECT CAST(id % 2 AS INTEGER) AS parity, CAST(SUM(total) AS DECIMAL(18,2)) AS total,
  SUM(CAST(total AS DOUBLE)) AS inexact, MAX(placed_at) < {{ run_started_at }} AS past
FROM {{ ref('kept') }}
WHERE total >= {{ var('least', 0) }}
GROUP BY 1 ORDER BY parity DESC`,
};

async function reports(
  tests: Readonly<Record<string, string>>,
): Promise<Readonly<{ reports: readonly UnitTestReport[]; problems: readonly string[] }>> {
  await using batch = await TemporaryBatch.create();
  await mkdir(batch.modelsDir);
  for (const [name, sql] of Object.entries(MODELS))
    await writeFile(join(batch.modelsDir, `${name}.sql`), sql);
  for (const [name, text] of Object.entries(tests))
    await writeFile(join(batch.modelsDir, `${name}.test.yaml`), text);
  const project = await loadModels(batch.modelsDir);
  const { engine } = batch;
  const options = { engine, sources: [ORDERS], variables: {} };
  const { signal } = new AbortController();
  const { models } = await compileModels(project, options, signal);
  const problems: Problem[] = [];
  const read = await Promise.all(
    project.models.map((model) => readUnitTests(project, model, problems)),
  );
  const told: UnitTestReport[] = [];
  try {
    const found = await runUnitTests(read.flat(), {
      ...options,
      models,
      onReport: (report) => told.push(report),
      signal,
    });
    assert.deepEqual(told, found);
    return { reports: found, problems: problems.map(({ line, text }) => `${line}: ${text}`) };
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    return { reports: [], problems: error.facts['problems'] as readonly string[] };
  }
}

/** Of the one test that there is. */
async function differencesOf(yaml: string): Promise<readonly string[]> {
  const [report] = (await reports({ totals: yaml })).reports;
  const { outcome } = must(report, 'it was run');
  if (outcome === 'passed') return [];
  return report !== undefined && 'differences' in report ? report.differences : [outcome];
}

const GIVEN = `- name: sums
  now: '2026-01-31T12:00:00Z'
  given:
    kept:
      - { id: 1, total: 0.10, placed_at: '2026-01-31 11:59:59.999999' }
      - { id: 3, total: '0.20' }
      - { id: 2, total: 7 }
`;

test('compares values, not how they are written, and the columns that are given alone', async () => {
  const yaml = `${GIVEN}  expect:
    - { parity: 0, total: 7, past: null }
    - { parity: 1, total: '0.3', inexact: 0.3, past: true }
`;
  assert.deepEqual(await differencesOf(yaml), []);
});

test('compares the order where that is asked for', async () => {
  const expect = `  expect: [{ parity: 0 }, { parity: 1 }]\n`;
  assert.deepEqual(await differencesOf(`${GIVEN}${expect}`), []);
  assert.deepEqual(await differencesOf(`${GIVEN}${expect}  ordered: true\n`), [
    'parity is 1, expected 0',
    'parity is 0, expected 1',
  ]);
});

test('says what differs, what is missing, and what should not be there', async () => {
  const expect = (rows: string) => `${GIVEN}  expect: [${rows}]\n`;
  assert.deepEqual(await differencesOf(expect('{ parity: 0, total: 8 }, { parity: 1 }')), [
    'total is "7.00", expected "8.00" (parity: 0)',
  ]);
  assert.deepEqual(await differencesOf(expect('{ parity: 0 }, { parity: 1 }, { parity: 2 }')), [
    'missing: parity: 2',
  ]);
  assert.deepEqual(await differencesOf(expect('{ parity: 1, past: true }')), [
    'not expected: parity: 0, past: null',
  ]);
  // The first row could be either of those found.
  assert.deepEqual(await differencesOf(expect('{}, { parity: 1 }')), []);
});

test('takes values of all types, without rows too, and variables', async () => {
  const kept = `- name: keeps
  given:
    orders:
      - { id: 1, placed_at: infinity, tags: [a, "b'c", null], raw: '\\x00ff', note: "it's \\\\ {}" }
      - { id: -2147483648, total: -12345678.91, tags: [], note: { a: [1] } }
  expect:
    - { id: 1, placed_at: infinity, tags: [a, "b'c", null], raw: '\\x00ff', note: "it's \\\\ {}", total: null }
    - { id: -2147483648, total: '-12345678.910', tags: [], note: '{"a":[1]}' }
- name: has nothing without rows
  given: { public.orders: [] }
  expect: []
`;
  const totals = `- name: leaves out what is too small
  variables: { least: 5 }
  given: { kept: [{ id: 1, total: 4.99 }, { id: 2, total: 5 }] }
  expect: [{ total: 5 }]
`;
  const found = await reports({ kept, totals });
  assert.deepEqual(found.problems, []);
  for (const report of found.reports)
    assert.equal(report.outcome, 'passed', JSON.stringify(report));
  assert.equal(found.reports.length, 3);
});

test('says with file and line what a test names that is not there, before any runs', async () => {
  const { problems } = await reports({
    totals: `- name: reads too much
  given:
    kept: [{ id: 1 }]
    order: [{ id: 1 }]
  expect:
    - { parity: 1, totl: 3 }
- name: has other columns
  given:
    kept:
      - { idd: 1 }
  expect: []
`,
  });
  assert.deepEqual(problems, [
    'models/totals.test.yaml:4: totals does not read order; it reads kept',
    'models/totals.test.yaml:6: totals has no column totl; did you mean total?',
    'models/totals.test.yaml:10: kept has no column idd; did you mean id?',
  ]);
});

test('says what is wrong with the file itself', async () => {
  const { problems } = await reports({
    totals: `- given: {}
- name: a
- name: a
  expect: []
- name: b
  now: soon
  expect: []
  exepct: []
`,
  });
  assert.deepEqual(problems, [
    '1: expected a name, which says what is expected',
    '2: expected `expect`, the rows of the model',
    '3: there is a test of this name before: a',
    '8: exepct is not known; did you mean expect?',
    "6: now: expected a time such as '2026-01-31T12:00:00Z', found soon",
  ]);
});

test('says which value does not fit the type of its column', async () => {
  const failing = `- name: overflows
  given: { kept: [{ id: 1, total: 1 }] }
  expect: [{ total: much }]
- name: is given what is no number
  given: { kept: [{ id: one }] }
  expect: []
`;
  const found = (await reports({ totals: failing })).reports;
  const problems = found.map((report) => ('problem' in report ? report.problem : report.outcome));
  assert.match(problems[0] ?? '', /^expect: Conversion Error: .*"much"/);
  assert.match(problems[1] ?? '', /^given kept: Conversion Error: .*'one'/);
});
