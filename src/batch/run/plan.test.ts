import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { must } from '../../lib/must.ts';
import type { WarehouseStep } from '../../ports/warehouse.ts';
import { EMPTY_MANIFEST, type LakeModel, type LakeTable, type Manifest } from '../lake/manifest.ts';
import { parseModelFile } from '../models/model-file.ts';
import type { Model } from '../models/model.ts';
import { type PlanRequest, planRun, type RunPlan } from './plan.ts';

const TABLE: LakeTable = {
  topic: 'dbserver1.public.orders',
  schema: 'public',
  name: 'orders',
  key: ['id'],
  schemas: [
    { id: 0, columns: [{ name: 'id', source: 'id', type: 'INTEGER', sqlType: 'integer' }] },
  ],
  offsets: { 0: 10 },
  changes: [],
  bases: [],
  resets: [],
};
const LAKE: Manifest = { ...EMPTY_MANIFEST, tables: { [TABLE.topic]: TABLE } };

const model = (name: string, sql: string, header = 'materialization: table'): Model => {
  const problems: Parameters<typeof parseModelFile>[2] = [];
  const parsed = parseModelFile(
    `/*\n${header}\n*/\n${sql}`,
    { name, file: `m/${name}.sql` },
    problems,
  );
  assert.deepEqual(problems, []);
  return parsed;
};

const result = (name: string, more: Partial<LakeModel> = {}): LakeModel => ({
  name,
  materialization: 'table',
  runId: 'before',
  builtAtMs: 0,
  fingerprint: `of ${name}`,
  columns: [{ name: 'id', type: 'INTEGER' }],
  rows: 1,
  files: [{ path: `models/${name}/before/rows.parquet`, bytes: 1 }],
  inputs: { [TABLE.topic]: { 0: 7 } },
  ...more,
});

const plan = (models: readonly Model[], more: Partial<PlanRequest> = {}): RunPlan =>
  planRun({
    models,
    build: new Set(models.map(({ name }) => name)),
    test: new Set(models.map(({ name }) => name)),
    manifest: LAKE,
    runId: 'run',
    runStartedAtMs: 0,
    variables: {},
    fullRefresh: false,
    damaged: new Set(),
    warehouse: { description: 'DuckDB', dialect: 'duckdb' },
    path: (path) => `/lake/${path}`,
    state: (table, offsets) => ({
      relations: [{ name: `files of ${table.name}`, files: [], columns: [] }],
      sql: `SELECT * FROM ${table.name}${offsets === undefined ? '' : ` at ${JSON.stringify(offsets)}`}`,
      columns: [],
    }),
    ...more,
  });

/** `a < b, c`: a comes after b and c. */
const order = ({ job }: RunPlan): readonly string[] =>
  job.steps.map(({ name, after }) => [name, after.join(', ')].filter(Boolean).join(' < '));

const stepOf = ({ job }: RunPlan, name: string): WarehouseStep =>
  must(
    job.steps.find((step) => step.name === name),
    'it is planned',
  );

describe('the plan of a run', () => {
  test('has a source once, and models after the tests of what they read', () => {
    const tested =
      'materialization: table\ncolumns: { id: { tests: [unique, { not_null: ~, severity: warn }] } }';
    const planned = plan([
      model(
        'a',
        "SELECT id FROM {{ source('orders') }}",
        tested.replace('{ not_null: ~, severity: warn }', 'not_null'),
      ),
      model('b', "SELECT id FROM {{ ref('a') }}", 'materialization: view'),
      model('c', "SELECT b.id FROM {{ ref('b') }} AS b, {{ source('public', 'orders') }} AS o"),
    ]);
    assert.deepEqual(order(planned), [
      'src__public__orders',
      'a < src__public__orders',
      '_check__unique_a_id < a',
      '_check__not_null_a_id < a',
      'b < a, _check__unique_a_id, _check__not_null_a_id',
      'c < src__public__orders, b',
    ]);
    const step = stepOf(planned, 'c');
    assert.match(step.sql, /FROM "b" AS b, "src__public__orders" AS o/);
    assert.equal(step.kind === 'table' && step.directory, '/lake/models/c/run');
  });

  test('lets no test of severity warn hold anything up', () => {
    const planned = plan([
      model(
        'a',
        'SELECT 1 AS id',
        'tests: [{ expression: id > 0, severity: warn, name: positive }]',
      ),
      model('b', "SELECT id FROM {{ ref('a') }}"),
    ]);
    assert.deepEqual(order(planned), ['a', '_check__positive < a', 'b < a']);
  });

  test('asks a test after all that it reads', () => {
    const planned = plan([
      model('parents', 'SELECT 1 AS id'),
      model(
        'children',
        'SELECT 1 AS parent',
        "columns: { parent: { tests: [{ relationships: { to: ref('parents'), field: id } }] } }",
      ),
    ]);
    assert.deepEqual(
      order(planned).at(-1),
      '_check__relationships_children_parent < children, parents',
    );
  });

  test('reads results of models that are not made from their files, and their views anew', () => {
    const models = [
      model('a', "SELECT id FROM {{ source('orders') }}"),
      model('b', "SELECT id FROM {{ ref('a') }}", 'materialization: view'),
      model('c', "SELECT id FROM {{ ref('b') }}"),
    ];
    const build = new Set(['c']);
    const manifest = { ...LAKE, models: { a: result('a') } };
    const planned = plan(models, { build, test: build, manifest });
    assert.deepEqual(order(planned), ['b', 'c < b']);
    assert.deepEqual(planned.job.relations, [
      {
        name: 'a',
        files: ['/lake/models/a/before/rows.parquet'],
        columns: [{ name: 'id', type: 'INTEGER' }],
      },
    ]);
    const [made] = planned.models;
    assert.deepEqual(made !== undefined && 'inputs' in made ? made.inputs : {}, {
      [TABLE.topic]: { 0: 7 },
    });
  });

  test('has no rows of a model that was a view when it was made last', () => {
    const models = [model('a', 'SELECT 1 AS id'), model('b', "SELECT id FROM {{ ref('a') }}")];
    const view = result('a', { materialization: 'view', files: [], sql: 'SELECT 1 AS id' });
    const manifest = { ...LAKE, models: { a: view } };
    const [refused] = plan(
      models.map((each) => ({ ...each, header: { ...each.header, materialization: 'table' } })),
      {
        build: new Set(['b']),
        manifest,
      },
    ).models;
    assert.equal(refused?.how, 'refused');
  });

  test('refuses a model that reads what is not there, and what reads that one', () => {
    const models = [
      model('a', "SELECT id FROM {{ source('sales') }}"),
      model('b', "SELECT id FROM {{ ref('a') }}"),
      model('c', 'SELECT 1 AS id', 'tests: [{ sql: "SELECT * FROM {{ ref(\'a\') }}", name: odd }]'),
    ];
    const planned = plan(models);
    const problem = 'the source sales is not in the lake, which has public.orders';
    assert.deepEqual(
      planned.models.map(({ model: { name }, how, ...more }) =>
        how === 'refused' ? [name, how, more] : [name, how],
      ),
      [
        ['a', 'refused', { problem }],
        ['b', 'refused', { problem, because: 'a' }],
        ['c', 'view'],
      ],
    );
    assert.equal(planned.tests[0]?.step, undefined);
  });

  test('makes an incremental model of what has changed since its inputs', () => {
    const header = `materialization: incremental_by_key
incremental: { column: id, affected_by: { orders: id } }`;
    const models = [
      model('a', "SELECT id FROM {{ source('orders') }} WHERE {{ affected('id') }}", header),
    ];
    const [whole] = plan(models).models;
    assert.equal(whole?.how, 'full');
    const { fingerprint } = whole;
    const manifest = { ...LAKE, models: { a: result('a', { fingerprint }) } };
    const planned = plan(models, { manifest });
    assert.deepEqual(order(planned), [
      'src__public__orders',
      'affected__a',
      'a < src__public__orders, affected__a',
    ]);
    assert.match(stepOf(planned, 'affected__a').sql, /__offset >= 7.*[^]*at \{"0":7\}/);
    assert.match(
      stepOf(planned, 'a').sql,
      /WHERE \(id IS NULL OR id IN \(SELECT value FROM "affected__a"\)\)/,
    );

    assert.equal(plan(models, { manifest, fullRefresh: true }).models[0]?.how, 'full');
    const upToDate = result('a', { fingerprint, inputs: { [TABLE.topic]: { 0: 10 } } });
    const unchanged = plan(models, { manifest: { ...LAKE, models: { a: upToDate } } });
    assert.equal(unchanged.models[0]?.how, 'unchanged');
    assert.deepEqual(unchanged.job.relations.at(-1)?.name, 'a');
  });

  test('tells by the fingerprint that a model must be made as a whole', () => {
    const header = (grain: string) => `materialization: incremental_by_time_range
incremental: { column: at, grain: ${grain}, affected_by: { orders: at } }`;
    const sql = "SELECT id, at FROM {{ source('orders') }} WHERE {{ affected('at') }}";
    const fingerprint = (text: string, more: Partial<PlanRequest> = {}, grain = 'day'): string => {
      const [made] = plan([model('a', text, header(grain))], more).models;
      return made !== undefined && 'fingerprint' in made ? made.fingerprint : '';
    };
    const table = (change: Partial<LakeTable>): Partial<PlanRequest> => ({
      manifest: { ...LAKE, tables: { [TABLE.topic]: { ...TABLE, ...change } } },
    });
    const same = fingerprint(sql);
    assert.equal(fingerprint(sql, table({ offsets: { 0: 99 } })), same);
    assert.equal(fingerprint(sql, { runId: 'other', runStartedAtMs: 5 }), same);
    const timed = `${sql} AND at < {{ run_started_at }}`;
    const varied = `${sql} AND id < {{ var('most', 9) }}`;
    const columns = [{ name: 'id', source: 'id', type: 'BIGINT', sqlType: 'bigint' }];
    const others = [
      fingerprint(`${sql} AND id > 0`),
      fingerprint(sql, {}, 'month'),
      fingerprint(sql, table({ schemas: [{ id: 0, columns }] })),
      fingerprint(timed),
      fingerprint(timed, { runStartedAtMs: 5 }),
      fingerprint(varied),
      fingerprint(varied, { variables: { most: 10 } }),
    ];
    assert.equal(new Set([same, ...others]).size, others.length + 1);
  });

  test('refuses a model in the SQL of another engine, alone', () => {
    const warehouse = { description: 'Spark 4.3.0 at local', dialect: 'portable' } as const;
    const models = [
      model('a', 'SELECT 1 AS id', 'materialization: table\ndialect: duckdb'),
      model('b', 'SELECT 1 AS id'),
    ];
    assert.deepEqual(
      plan(models, { warehouse }).models.map((each) =>
        'problem' in each ? each.problem : each.how,
      ),
      [
        'its dialect is duckdb, and Spark 4.3.0 at local runs the models: write it in portable SQL, or set MILLRACE_WAREHOUSE=duckdb',
        'full',
      ],
    );
    assert.equal(plan(models).models[0]?.how, 'full');
  });

  test('asks tests alone, of the results that there are', () => {
    const models = [
      model('a', 'SELECT 1 AS id', 'materialization: table\ntests: [{ row_count: { min: 1 } }]'),
      model('b', 'SELECT 1 AS id', 'materialization: table\ntests: [{ row_count: { min: 1 } }]'),
    ];
    const manifest = { ...LAKE, models: { a: result('a') } };
    const planned = plan(models, { build: new Set(), manifest });
    assert.deepEqual(order(planned), ['_check__row_count_a']);
    assert.deepEqual(
      planned.tests.map(({ test: { name }, step }) => [name, step]),
      [
        ['row_count_a', '_check__row_count_a'],
        ['row_count_b', undefined],
      ],
    );
  });
});
