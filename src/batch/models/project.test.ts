import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { MillraceError } from '../../domain/errors.ts';
import { loadModels, type ModelProject } from './project.ts';
import { selectModels } from './selection.ts';

async function load(files: Readonly<Record<string, string>>): Promise<ModelProject> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-models-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, 'models', name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    }
    return await loadModels(join(folder, 'models'));
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function problemsOf(files: Readonly<Record<string, string>>): Promise<unknown> {
  try {
    await load(files);
  } catch (error) {
    assert.ok(error instanceof MillraceError);
    assert.equal(error.code, 'models_invalid');
    return error.facts['problems'];
  }
  return [];
}

describe('a folder of models', () => {
  test('is read with its headers, in the order in which they need each other', async () => {
    const { models } = await load({
      'a.sql': "SELECT * FROM {{ ref('z') }} JOIN {{ source('orders') }}",
      'marts/z.sql': `/*
materialization: incremental_by_time_range
tags: [daily]
owner: analytics
description: What there is.
columns:
  id: { description: The key., tests: [unique, not_null] }
  kind: { tests: [{ accepted_values: [a, 2], severity: warn }] }
  customer_id:
    tests:
      - relationships: { to: source('customers'), field: id }
tests:
  - row_count: { min: 1 }
  - expression: total >= {{ var('least') }}
  - freshness: { column: day, max_age: 2d }
  - sql: |
      SELECT * FROM {{ ref('z') }}
    name: my_own
serve:
  - key: z:latest
  - { key: 'z:{run_time}', expires: 2h, limit: 5 }
incremental: { column: day, affected_by: { orders: placed } }
*/
SELECT 1 FROM {{ source('orders') }} WHERE {{ affected('placed') }}`,
    });
    assert.deepEqual(
      models.map(({ name, file, line, refs, sources }) => ({ name, file, line, refs, sources })),
      [
        { name: 'z', file: 'models/marts/z.sql', line: 23, refs: [], sources: ['orders'] },
        { name: 'a', file: 'models/a.sql', line: 1, refs: ['z'], sources: ['orders'] },
      ],
    );
    assert.deepEqual(models[0]?.testSources, ['customers']);
    assert.deepEqual(models[0]?.header, {
      materialization: 'incremental_by_time_range',
      tags: ['daily'],
      owner: 'analytics',
      description: 'What there is.',
      columns: {
        id: { description: 'The key.', line: 7 },
        kind: { line: 8 },
        customer_id: { line: 9 },
      },
      tests: [
        { kind: 'unique', columns: ['id'], severity: 'error', line: 7, name: 'unique_z_id' },
        { kind: 'not_null', column: 'id', severity: 'error', line: 7, name: 'not_null_z_id' },
        {
          kind: 'accepted_values',
          column: 'kind',
          values: ['a', 2],
          severity: 'warn',
          line: 8,
          name: 'accepted_values_z_kind',
        },
        {
          kind: 'relationships',
          column: 'customer_id',
          to: { source: 'customers' },
          field: 'id',
          severity: 'error',
          line: 11,
          name: 'relationships_z_customer_id',
        },
        { kind: 'row_count', min: 1, severity: 'error', line: 13, name: 'row_count_z' },
        {
          kind: 'expression',
          expression: "total >= {{ var('least') }}",
          severity: 'error',
          line: 14,
          name: 'expression_z_total_var_least',
        },
        {
          kind: 'freshness',
          column: 'day',
          maxAgeSeconds: 172_800,
          severity: 'error',
          line: 15,
          name: 'freshness_z_day',
        },
        {
          kind: 'sql',
          sql: "SELECT * FROM {{ ref('z') }}\n",
          severity: 'error',
          line: 17,
          name: 'my_own',
        },
      ],
      serve: [
        { key: 'z:latest', limit: 1000, line: 20 },
        { key: 'z:{run_time}', expiresSeconds: 7200, limit: 5, line: 21 },
      ],
      incremental: { column: 'day', grain: 'day', affectedBy: { orders: 'placed' }, line: 22 },
      dialect: 'portable',
    });
  });

  test('that is not there has no models', async () => {
    assert.deepEqual((await loadModels(join(tmpdir(), 'no-such-folder'))).models, []);
  });

  test('tells all that is wrong in all files at once, with file and line', async () => {
    assert.deepEqual(
      await problemsOf({
        'a.sql':
          "/*\nmaterialisation: table\ntags: daily\n*/\nSELECT\n* FROM {{ ref('custmers') }}",
        'customers.sql': `/*
materialization: tabel
columns:
  id: { tests: [uniq, unique, unique, accepted_values] }
tests:
  - row_count: { min: -1 }
  - expression: a > 1
    severity: fatal
  - sevrity: warn
serve: [{ key: x, expires: 2 hours }]
*/
SELECT 1`,
        'empty.sql': '/*\ntags: [a]\n*/\n-- nothing\n',
        'licence.sql': '/* All rights reserved. */ SELECT 1',
        'broken.sql': '/*\ntags: [a\nowner: b\n*/ SELECT 1',
        'Big.sql': 'SELECT 1',
        'src__a.sql': 'SELECT 1',
      }),
      [
        "models/Big.sql:1: a model's file is named in lower-case letters, digits and _, 60 at most, as the model is; found Big.sql",
        'models/a.sql:2: materialisation is not known; did you mean materialization?',
        'models/a.sql:3: tags: expected a list, found daily',
        'models/a.sql:6: there is no model custmers; did you mean customers?',
        'models/broken.sql:3: Flow sequence in block collection must be sufficiently indented and end with a ]',
        'models/customers.sql:2: materialization: expected view or table or incremental_by_key or incremental_by_time_range, found tabel; did you mean table?',
        'models/customers.sql:4: tests: expected unique or not_null or accepted_values or relationships or freshness, found uniq; did you mean unique?',
        'models/customers.sql:4: tests: accepted_values needs more: { accepted_values: … }',
        'models/customers.sql:4: the test unique_customers_id stands in line 4 already',
        'models/customers.sql:6: min: expected a whole number from 0, found -1',
        'models/customers.sql:8: severity: expected warn or error, found fatal',
        'models/customers.sql:9: tests: sevrity is not known; did you mean severity?',
        'models/customers.sql:10: expires: expected a duration such as 90s, 15m, 2h or 7d, found 2 hours',
        'models/empty.sql:3: expected a SELECT, found nothing',
        'models/licence.sql:1: the comment with which a file begins is its header, in YAML; others begin with --',
        'models/src__a.sql:1: the name src__a is reserved',
      ],
    );
  });

  test('shows cycles, also those that tests make', async () => {
    assert.deepEqual(
      await problemsOf({
        'a.sql': "SELECT * FROM\n{{ ref('b') }}",
        'b.sql': "SELECT * FROM {{ ref('c') }}",
        'c.sql': "SELECT * FROM {{ ref('a') }}",
        'self.sql': "SELECT * FROM {{ ref('self') }}",
        'd.sql': "/*\ntests:\n- sql: SELECT * FROM {{ ref('e') }}\n*/ SELECT 1",
        'e.sql': "SELECT * FROM {{ ref('d') }}",
      }),
      [
        'models/c.sql:1: models that need each other: a -> b -> c -> a',
        'models/e.sql:1: models that need each other: d -> e -> d; a test may read only what comes before its model: put it into the later one',
        'models/self.sql:1: models that need each other: self -> self',
      ],
    );
  });

  test('has each name, served key and name of a test once', async () => {
    const served = '/*\nmaterialization: table\nserve: [{ key: k }]\n*/ SELECT 1';
    assert.deepEqual(
      await problemsOf({ 'a.sql': served, 'x/a.sql': 'SELECT 1', 'x/b.sql': served }),
      [
        'models/x/a.sql:1: a model is named as its file is, in whatever folder; the name a is that of models/a.sql:1 already',
        'models/x/b.sql:3: the served key k is that of models/a.sql:3 already',
      ],
    );
  });

  test('has incremental models whose changes can be told', async () => {
    const incremental = (settings: string, sql: string) =>
      `/*\nmaterialization: incremental_by_key\nincremental: ${settings}\n*/\n${sql}`;
    assert.deepEqual(
      await problemsOf({
        'a.sql': incremental('{ column: id, affected_by: { orders: id } }', 'SELECT 1'),
        'b.sql': incremental(
          '{ column: id, grain: day, affected_by: { orders: id } }',
          "SELECT * FROM {{ source('public.orders') }} JOIN {{ source('items') }}\n JOIN {{ ref('c') }} WHERE {{ affected('id') }}",
        ),
        'c.sql': "SELECT {{ affected('id') }}",
        'd.sql': '/*\nmaterialization: incremental_by_key\n*/ SELECT 1',
        'e.sql':
          '/*\nserve: [{ key: a }, { key: "b:{run_time}" }, { key: "c:{time}" }]\n*/ SELECT 1',
      }),
      [
        "models/a.sql:3: expected {{ affected('column') }} in the SELECT: without it every run makes all rows",
        'models/a.sql:3: affected_by: orders is not read by the SELECT',
        'models/b.sql:3: grain: is for incremental_by_time_range alone',
        'models/b.sql:3: affected_by: items is read, and not named with the column that says which rows its changes concern',
        "models/b.sql:6: an incremental model reads sources alone, as it must know which of their rows changed: ref('c') is none",
        'models/c.sql:1: {{ affected(…) }} has no meaning in a view',
        'models/d.sql:2: incremental_by_key needs `incremental: { column: …, affected_by: { table: column } }`',
        'models/e.sql:2: serve: b:{run_time} is another one in each run, and none would ever go: say when it `expires`',
        'models/e.sql:2: key: {time} is not known; expected {run_time} or {run_number}',
        'models/e.sql:2: serve: a view keeps no rows that could be served: make it a table',
      ],
    );
  });
});

describe('a selection', () => {
  const project = load({
    'a.sql': "/*\ntags: [daily]\n*/ SELECT * FROM {{ source('orders') }}",
    'b.sql': "SELECT * FROM {{ ref('a') }}",
    'marts/c.sql': "/*\ntags: [daily]\n*/ SELECT * FROM {{ ref('b') }}",
    'marts/d.sql': 'SELECT 1',
  });
  const cases: readonly (readonly [selected: readonly string[], expected: string])[] = [
    [[], 'a b c d'],
    [['b'], 'b'],
    [['+b'], 'a b'],
    [['b+'], 'b c'],
    [['+b+'], 'a b c'],
    [['a', 'd'], 'a d'],
    [['a d'], 'a d'],
    [['tag:daily'], 'a c'],
    [['+tag:daily,path:models/marts'], 'c'],
    [['path:models/marts'], 'c d'],
    [['path:models/marts/d.sql'], 'd'],
    [['source:orders+'], 'a b c'],
    [['source:public.orders+'], 'a b c'],
    [['?'], 'a b c d'],
  ];
  for (const [selected, expected] of cases)
    test(`of ${selected.join(' and ') || 'nothing'} is ${expected}`, async () => {
      const chosen = selectModels(await project, selected);
      assert.deepEqual(chosen.map(({ name }) => name).join(' '), expected);
    });

  test('leaves out what is excluded', async () => {
    const chosen = selectModels(await project, ['+c'], ['a', 'tag:daily']);
    assert.deepEqual(
      chosen.map(({ name }) => name),
      ['b'],
    );
  });

  test('refuses what chooses nothing', async () => {
    const told: Readonly<Record<string, RegExp>> = {
      e: /expected models that there are: a, b, c, d,/,
      'tag:x': /expected tags that there are: daily,/,
      'source:orders': /expected source:orders\+/,
      'source:items+': /expected a source that a model reads: orders,/,
      'owner:me': /expected name, \+name/,
      'constructor:me': /expected name, \+name/,
      'path:other': /expected files of models that there are: models\/a\.sql, /,
    };
    for (const [word, message] of Object.entries(told))
      await assert.rejects(async () => selectModels(await project, [word]), {
        code: 'usage',
        message,
      });
  });
});
