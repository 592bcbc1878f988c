import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ScriptedLake } from '../../../test/scripted-lake.ts';
import { TemporaryBatch } from '../../../test/temporary-batch.ts';
import { must } from '../../lib/must.ts';
import { parseVariable } from './model-run.ts';

const MILLRACE = join(import.meta.dirname, '../millrace');

/** A pipeline with models over orders of 10 and 20, run by the command line. */
class Place implements AsyncDisposable {
  readonly #batch: TemporaryBatch;
  readonly scripted: ScriptedLake;

  private constructor(batch: TemporaryBatch, scripted: ScriptedLake) {
    this.#batch = batch;
    this.scripted = scripted;
  }

  static async create(): Promise<Place> {
    const batch = await TemporaryBatch.create();
    const scripted = await ScriptedLake.create(batch.lakeDir, batch.engine, [
      {
        name: 'orders',
        key: ['id'],
        columns: [
          { name: 'id', type: 'INTEGER' },
          { name: 'total', type: 'DECIMAL(10,2)' },
        ],
      },
    ]);
    await scripted.append([
      { table: 'orders', op: 'c', row: { id: 1, total: 10 } },
      { table: 'orders', op: 'c', row: { id: 2, total: 20 } },
    ]);
    await mkdir(batch.modelsDir);
    const pipeline = `export const pipeline = { name: 'test', processors: [], modelVariables: { least: 0 } };\n`;
    await writeFile(join(batch.dir, 'pipeline.ts'), pipeline);
    return new Place(batch, scripted);
  }

  write(name: string, text: string): Promise<void> {
    return writeFile(join(this.#batch.modelsDir, name), text);
  }

  millrace(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
    const { dir, lakeDir } = this.#batch;
    const env = {
      PATH: process.env['PATH'],
      MILLRACE_LAKE: lakeDir,
      MILLRACE_DUCKDB_MEMORY: '128MB',
      NODE_COMPILE_CACHE: join(tmpdir(), 'millrace-compile-cache'),
    };
    return new Promise((resolve) => {
      execFile(MILLRACE, ['model', ...args], { cwd: dir, env }, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code), out, err }),
      );
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#batch[Symbol.asyncDispose]();
  }
}

const KEPT = `/*
materialization: table
columns: { id: { tests: [unique] } }
tests: [{ expression: "total < 20", severity: warn, name: none_is_dear }]
*/
SELECT id, total FROM {{ source('orders') }} WHERE total > {{ var('least') }}`;

describe('millrace model', () => {
  let place: Place | undefined;

  before(async () => {
    place = await Place.create();
    await place.write('kept.sql', KEPT);
    await place.write('counted.sql', "SELECT COUNT(*) AS n FROM {{ ref('kept') }}");
    await place.write(
      'kept.test.yaml',
      `- name: leaves out what costs nothing
  given: { orders: [{ id: 1, total: 0 }, { id: 2, total: 1 }] }
  expect: [{ id: 2 }]
`,
    );
  });

  after(() => place?.[Symbol.asyncDispose]());

  const millrace = (...args: readonly string[]) => must(place, 'made before').millrace(...args);

  test('run prints a line a model, what tests found, and a summary', async () => {
    const { code, out, err } = await millrace('run');
    assert.equal(err, '');
    assert.equal(code, 0);
    assert.match(
      out,
      /^1 of 2 OK {4}kept … 2 rows in [\d.]+ s\n {7}WARN {2}none_is_dear … 1 row, kept in lake\/failures\/\S+\/none_is_dear\/rows\.parquet\n2 of 2 OK {4}counted … view/,
    );
    assert.match(out, /\nModels in [\d.]+ m?s: 2 made, 1 test passed, 1 test warned\.\n$/);
  });

  test('compile takes variables as run does', async () => {
    const { code, out } = await millrace('compile', 'kept', '--var', 'least=17');
    assert.equal(code, 0);
    assert.match(out, /WHERE total > 17;/);
  });

  test('run takes a selection, variables, and prints JSON', async () => {
    const { code, out } = await millrace(
      'run',
      '+counted',
      '--var',
      'least=10',
      '--json',
      '--no-test',
    );
    assert.equal(code, 0);
    const { models, tests } = JSON.parse(out) as {
      models: { name: string; rows: number }[];
      tests: unknown[];
    };
    assert.deepEqual(
      models.map(({ name, rows }) => [name, rows]),
      [
        ['kept', 1],
        ['counted', 0],
      ],
    );
    assert.deepEqual(tests, []);
  });

  test('test runs unit tests and data tests, and shows rows that should not be', async () => {
    await millrace('run', '--no-test');
    const { code, out } = await millrace('test');
    assert.equal(code, 0);
    assert.match(out, /^PASS {2}kept: leaves out what costs nothing/);
    assert.match(out, /1 of 2 PASS {2}unique_kept_id/);
    assert.match(
      out,
      /none_is_dear … 1 row, kept in .*\n {2}id {2}total\n {2}2 {3}20\.00\n2 of 3 tests passed, 1 warned\.\n$/,
    );
  });

  test('exits with 1 when a model, a test or a unit test failed', async () => {
    await using other = await Place.create();
    await other.write('kept.sql', KEPT.replace('severity: warn', 'severity: error'));
    await other.write('next.sql', "SELECT id FROM {{ ref('kept') }}");
    await other.write(
      'kept.test.yaml',
      '- name: keeps all\n  given: { orders: [{ id: 1, total: 0 }] }\n  expect: [{ id: 1 }]\n',
    );
    const ran = await other.millrace('run');
    assert.equal(ran.code, 1);
    assert.match(ran.out, /FAIL {2}none_is_dear … 1 row[^]*SKIP {2}next … because of none_is_dear/);
    assert.match(
      ran.err,
      /models_failed\n {2}models:\n {4}- kept\n {4}- next\n {2}tests:\n {4}- none_is_dear\n/,
    );
    const tested = await other.millrace('test', '--unit');
    assert.equal(tested.code, 1);
    assert.match(
      tested.out,
      /FAIL {2}kept: keeps all … models\/kept\.test\.yaml:1\n {8}missing: id: 1\n/,
    );
  });

  test('exits with 69 when models wait for a table that is being copied', async () => {
    await using other = await Place.create();
    await other.write('kept.sql', KEPT);
    await other.write('free.sql', 'SELECT 1 AS one');
    const incomplete = { sinceMs: 1, cause: 'copy' } as const;
    await other.scripted.edit('orders', (table) => ({ ...table, incomplete }));
    const ran = await other.millrace('run');
    assert.equal(ran.code, 69);
    const [waits, waitsToo] = [
      'kept … public.orders is being copied; its last',
      'unique_kept_id … ',
    ];
    assert.match(ran.out, new RegExp(`WAIT {2}${waits} result stays\n[^]*WAIT {2}${waitsToo}`));
    assert.match(ran.out, /: 1 made, 1 waiting, 2 tests waiting\.\n$/);
    const found = '  models:\n    - kept\n  found: public.orders is being copied\n';
    assert.ok(ran.err.includes(found), ran.err);
    assert.equal((await other.millrace('run', 'free')).code, 0);
    await other.write(
      'seen.sql',
      "/*\ncolumns: { id: { tests: [unique] } }\n*/\nFROM {{ source('orders') }}",
    );
    const tested = await other.millrace('test', 'seen');
    assert.equal(tested.code, 69);
    assert.match(tested.out, /0 of 1 test passed, 1 waiting\.\n$/);
  });

  test('refuses models that are wrong before any runs', async () => {
    await using other = await Place.create();
    await other.write('good.sql', 'SELECT 1 AS one');
    await other.write('bad.sql', "SELECT id,\n  totl FROM {{ source('orders') }}");
    const { code, out, err } = await other.millrace('run');
    assert.deepEqual([code, out], [78, '']);
    assert.match(err, /models_invalid\n {2}problems:\n {4}- models\/bad\.sql:2: .*totl/);
    assert.equal((await other.millrace('run', 'good')).code, 0);
  });
});

test('a variable is a number, true, false or text, as it looks', () => {
  const parsed = ['a=1', 'b=-2.5', 'c=true', "d='1'", 'e=', 'f=x=y', 'g=007'].reduce(
    (before, each) => parseVariable(each, before),
    {},
  );
  assert.deepEqual(parsed, { a: 1, b: -2.5, c: true, d: '1', e: '', f: 'x=y', g: '007' });
  assert.throws(() => parseVariable('nothing'), /name=value/);
});
