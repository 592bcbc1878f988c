import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DuckDbEngine } from '../../adapters/duckdb/engine.ts';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import type { Manifest } from '../lake/manifest.ts';
import { EMPTY_MANIFEST } from '../lake/manifest.ts';
import { compileModels, type Compilation } from './compile.ts';
import { parseModelFile } from './model-file.ts';
import type { Problem } from './problem.ts';
import { lakeSources, type SourceTable } from './source-table.ts';

const ORDERS: SourceTable = {
  schema: 'public',
  name: 'orders',
  columns: [
    { name: 'id', type: 'INTEGER' },
    { name: 'customer_id', type: 'INTEGER' },
    { name: 'total', type: 'DECIMAL(10,2)' },
    { name: 'placed', type: 'TIMESTAMP' },
    { name: 'tags', type: 'VARCHAR[]' },
  ],
  dropped: [{ name: 'coupon', atMs: Date.UTC(2026, 0, 31) }],
};

describe('compiling models', () => {
  let engine: DuckDbEngine;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-compile-'));
    engine = await DuckDbEngine.open({ memoryLimit: '128MB', threads: 1, tempDirectory: folder });
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  /** In the order given. */
  async function compile(
    files: Readonly<Record<string, string>>,
    variables: Readonly<Record<string, number>> = {},
  ): Promise<Compilation> {
    const problems: Problem[] = [];
    const models = Object.entries(files).map(([name, text]) =>
      parseModelFile(text, { name, file: `models/${name}.sql` }, problems),
    );
    assert.deepEqual(problems, []);
    const options = { engine, sources: [ORDERS], variables };
    return compileModels({ dir: 'models', models }, options, new AbortController().signal);
  }

  async function problemsOf(files: Readonly<Record<string, string>>): Promise<unknown> {
    const error = await compile(files).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error === undefined) return [];
    if (!(error instanceof MillraceError)) throw error;
    return error.facts['problems'];
  }

  test('tells the columns of each, which those after it read', async () => {
    const { models, warnings } = await compile(
      {
        spent: `/*
columns: { customer_id: { tests: [unique, not_null] }, gone: { description: Was here. } }
tests: [{ expression: "spent >= {{ var('least') }}" }]
*/
SELECT customer_id, CAST(SUM(total) AS DECIMAL(18, 2)) AS spent
FROM {{ source('orders') }} GROUP BY customer_id;`,
        best: `/*
columns: { customer_id: { tests: [{ relationships: { to: ref('spent'), field: customer_id } }] } }
tests: [{ sql: "SELECT * FROM {{ ref('best') }} WHERE spent < 0" }]
*/
SELECT * FROM {{ ref('spent') }} WHERE spent > {{ var('least') }}`,
      },
      { least: 10 },
    );
    const columns = [
      { name: 'customer_id', type: 'INTEGER' },
      { name: 'spent', type: 'DECIMAL(18,2)' },
    ];
    assert.deepEqual(
      models.map(({ model, columns: its, dependsOn, sources }) => ({
        name: model.name,
        columns: its,
        dependsOn,
        sources,
      })),
      [
        { name: 'spent', columns, dependsOn: [], sources: ['public.orders'] },
        { name: 'best', columns, dependsOn: ['spent'], sources: [] },
      ],
    );
    assert.deepEqual(warnings, [
      {
        file: 'models/spent.sql',
        line: 2,
        text: 'the header tells of a column gone that the model does not have',
      },
    ]);
    const [spent] = models;
    const sql = must(spent, 'compiled').render({
      runStartedAtMs: 0,
      variables: {},
      relationOf: (model) => model,
      sourceRelationOf: (source) => `<${source}>`,
      affected: () => 'TRUE',
    });
    assert.match(sql, /FROM <public\.orders> GROUP BY customer_id *$/);
    assert.equal((await engine.query('SELECT * FROM duckdb_tables()')).rows.length, 0);
  });

  test('finds each thing that is wrong, at its line, and nothing that follows from it', async () => {
    assert.deepEqual(
      await problemsOf({
        syntax: '/*\ntags: [a]\n*/\nSELECT 1 AS a\nFRM t',
        two: 'SELECT 1 AS a;\nSELECT 2 AS a',
        other: '\nCREATE TABLE x (a INT)',
        column: "SELECT id,\n  totl\nFROM {{ source('orders') }}",
        after_it: "SELECT nothing FROM {{ ref('column') }}",
        dropped: "SELECT o.coupon AS coupon FROM {{ source('public.orders') }} AS o",
        unknown: "SELECT 1 AS a FROM {{ source('order') }}\nWHERE 1 = {{ var('x') }}",
        past: 'SELECT id\nFROM orders JOIN dropped USING (id)',
        reads_file: "SELECT 1 AS a FROM read_csv('/etc/passwd'), '/etc/passwd', range(3)",
        types:
          "/*\ndialect: duckdb\n*/\nSELECT SUM(id) AS n,\n uuid() AS u, CAST('1:00' AS TIME) AS t, COUNT(*), 1 AS a, 2 AS A\nFROM {{ source('orders') }}",
      }),
      [
        'models/column.sql:2: Referenced column "totl" not found in FROM clause; there is "total", "customer_id", "tags"',
        'models/dropped.sql:1: Table "o" does not have a column named "coupon"; there is "customer_id". coupon of public.orders was dropped at the source; seen at 2026-01-31T00:00:00.000Z',
        'models/other.sql:2: expected one SELECT, found another statement',
        "models/past.sql:2: reads orders past its reference: write {{ source('orders') }}",
        "models/past.sql:2: there is no dropped: models are read as {{ ref('model') }}, tables as {{ source('table') }}",
        "models/reads_file.sql:1: there is no /etc/passwd: models are read as {{ ref('model') }}, tables as {{ source('table') }}",
        "models/reads_file.sql:1: read_csv(…) is not for models, which read {{ ref('model') }} and {{ source('table') }} alone",
        'models/syntax.sql:5: syntax error at or near "FRM"',
        'models/two.sql:2: expected one SELECT, found 2 statements',
        "models/types.sql:4: column n is HUGEINT, which can't be kept: write CAST(… AS BIGINT) AS n",
        "models/types.sql:5: column u is UUID, which can't be kept: write CAST(… AS STRING) AS u",
        "models/types.sql:5: column t is TIME, which can't be kept: write CAST(… AS STRING) AS t",
        'models/types.sql:5: column 4, count_star(), needs a name of letters, digits and _: write `… AS name`',
        'models/types.sql:5: two columns are named A: write `… AS other_name` for one of them',
        'models/unknown.sql:1: there is no table order; did you mean orders?',
        "models/unknown.sql:2: the variable x has no value: set it in pipeline.ts (modelVariables), or give a default, {{ var('x', …) }}",
      ],
    );
  });

  test('holds headers against the columns that there are', async () => {
    assert.deepEqual(
      await problemsOf({
        a: `/*
columns:
  custmer_id: { tests: [not_null] }
  customer_id: { tests: [{ relationships: { to: source('orders'), field: no } }, { freshness: 2h }] }
tests:
  - expression: customer_id
  - expression: nothing > 0
  - sql: |
      SELECT *
      FROM {{ ref('a') }} WHERE
materialization: incremental_by_time_range
incremental: { column: customer_id, affected_by: { orders: id } }
*/
SELECT customer_id FROM {{ source('orders') }} WHERE {{ affected('placd') }}`,
        b: `/*
materialization: incremental_by_time_range
incremental: { column: customer_id, affected_by: { orders: id } }
columns:
  custmer_id: { tests: [not_null] }
  customer_id: { tests: [{ relationships: { to: source('orders'), field: no } }, { freshness: 2h }] }
tests:
  - expression: customer_id
  - expression: nothing > 0
  - sql: |
      SELECT *
      FROM {{ ref('b') }} WHERE
  - sql: SELECT * FROM orders;
*/
SELECT customer_id FROM {{ source('orders') }} WHERE {{ affected('placed') }}`,
      }),
      [
        'models/a.sql:14: Referenced column "placd" not found in FROM clause; there is "placed"',
        'models/b.sql:3: column customer_id of the model: expected a date or timestamp, found INTEGER',
        'models/b.sql:3: column id of orders: expected a date or timestamp, found INTEGER',
        'models/b.sql:5: the model has no column custmer_id; did you mean customer_id?',
        'models/b.sql:6: orders has no column no; it has id, customer_id, total, placed, tags',
        'models/b.sql:6: column customer_id of the model: expected a date or timestamp, found INTEGER',
        'models/b.sql:8: expected a condition, found INTEGER: customer_id',
        'models/b.sql:9: Referenced column "nothing" not found in FROM clause; there is "customer_id"',
        'models/b.sql:12: syntax error at end of input',
        "models/b.sql:13: reads orders past its reference: write {{ source('orders') }}",
      ],
    );
  });
});

test('tables of the lake tell which columns they lost, and when', () => {
  const column = (name: string) => ({ name, source: name, type: 'INTEGER', sqlType: 'integer' });
  const file = (schema: number, minTimeMs: number) => ({
    path: `${schema}`,
    schema,
    day: '2026-01-01',
    rows: 1,
    bytes: 1,
    offsets: {},
    minTimeMs,
    maxTimeMs: minTimeMs,
    unavailable: [],
  });
  const table = { topic: 't', schema: 'public', key: [], offsets: {}, bases: [], resets: [] };
  const manifest: Manifest = {
    ...EMPTY_MANIFEST,
    tables: {
      t: {
        ...table,
        name: 't',
        schemas: [
          { id: 0, columns: [column('a'), column('b')] },
          { id: 1, columns: [column('a')] },
        ],
        changes: [file(0, 5), file(1, 9), file(1, 7)],
      },
      new: { ...table, name: 'new', schemas: [], changes: [] },
    },
  };
  assert.deepEqual(lakeSources(manifest), [
    {
      schema: 'public',
      name: 't',
      columns: [{ name: 'a', type: 'INTEGER' }],
      dropped: [{ name: 'b', atMs: 7 }],
    },
  ]);
});
