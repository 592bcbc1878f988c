import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { type ScriptedChange, ScriptedLake } from '../../../test/scripted-lake.ts';
import { TemporaryBatch } from '../../../test/temporary-batch.ts';
import { must } from '../../lib/must.ts';
import { loadModels } from '../models/project.ts';
import { type RunEvent, type RunOptions, runModels } from './model-run.ts';
import { readReports } from './run-folders.ts';
import { failedModels, isGood, type RunReport } from './run-report.ts';

const NOW_MS = Date.UTC(2026, 0, 31, 12);

/** A lake with orders of 10, 20 and 30 by two customers, and models to write. */
class Workplace implements AsyncDisposable {
  readonly batch: TemporaryBatch;
  readonly scripted: ScriptedLake;

  private constructor(batch: TemporaryBatch, scripted: ScriptedLake) {
    this.batch = batch;
    this.scripted = scripted;
  }

  static async create(): Promise<Workplace> {
    const batch = await TemporaryBatch.create();
    const scripted = await ScriptedLake.create(batch.lakeDir, batch.engine, [
      {
        name: 'orders',
        key: ['id'],
        columns: [
          { name: 'id', type: 'INTEGER' },
          { name: 'customer_id', type: 'INTEGER' },
          { name: 'total', type: 'DECIMAL(10,2)' },
        ],
      },
    ]);
    await scripted.append([order(1, 1, 10), order(2, 1, 20), order(3, 2, 30)]);
    await mkdir(batch.modelsDir);
    return new Workplace(batch, scripted);
  }

  /** As tables, where they don't say otherwise. */
  async write(models: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(models))
      await writeFile(join(this.batch.modelsDir, `${name}.sql`), asTable(text));
  }

  /** All models, unless `build` names some. */
  async run(more: Partial<RunOptions> = {}): Promise<RunReport> {
    const { models } = await loadModels(this.batch.modelsDir);
    const all = new Set(models.map(({ name }) => name));
    return runModels({
      lake: this.scripted.lake,
      warehouse: this.batch.warehouse,
      models,
      build: all,
      test: more.build ?? all,
      fullRefresh: false,
      runStartedAtMs: NOW_MS,
      variables: {},
      onEvent: () => {},
      signal: new AbortController().signal,
      ...more,
    });
  }

  /** Undefined when the lake has no result of it. */
  async rows(model: string): Promise<readonly (readonly unknown[])[] | undefined> {
    const { models } = await this.scripted.lake.manifest();
    const files = models[model]?.files.map(({ path }) => this.scripted.lake.path(path));
    return files === undefined ? undefined : this.#read(files);
  }

  async failingRows(report: RunReport, name: string): Promise<readonly (readonly unknown[])[]> {
    const found = must(
      report.tests.find((each) => each.name === name),
      'it was asked',
    );
    assert.equal(found.outcome, 'failed');
    return this.#read(
      'files' in found ? found.files.map((file) => this.scripted.lake.path(file)) : [],
    );
  }

  async #read(files: readonly string[]): Promise<readonly (readonly unknown[])[]> {
    const list = files.map((file) => `'${file}'`).join(', ');
    return (await this.batch.engine.query(`SELECT * FROM read_parquet([${list}])`)).rows;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.batch[Symbol.asyncDispose]();
  }
}

function order(
  id: number,
  customer: number,
  total: number,
  op: ScriptedChange['op'] = 'c',
): ScriptedChange {
  return { table: 'orders', op, row: { id, customer_id: customer, total } };
}

function asTable(text: string): string {
  if (text.includes('materialization:')) return text;
  const header = text.startsWith('/*\n') ? text : `/*\n*/\n${text}`;
  return header.replace('/*\n', '/*\nmaterialization: table\n');
}

/** What became of each, in words. */
function outcomes({ models, tests }: RunReport): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...models, ...tests].map((each) => {
      const more = ['problem', 'because', 'for'].flatMap((field) =>
        field in each ? String(each[field as keyof typeof each]) : [],
      );
      return [each.name, [each.outcome, ...more].join(': ')];
    }),
  );
}

const TOTALS = `SELECT customer_id, CAST(SUM(total) AS DECIMAL(18,2)) AS total
FROM {{ source('orders') }} GROUP BY customer_id ORDER BY customer_id`;

describe('a model that reads a table that is being copied', () => {
  const copying = (place: Workplace, sinceMs: number | undefined) =>
    place.scripted.edit('orders', ({ incomplete: _before, ...table }) => ({
      ...table,
      ...(sinceMs !== undefined && { incomplete: { sinceMs, cause: 'gap' } }),
    }));
  const waiting = 'waiting: public.orders is being copied';

  test('keeps its last result, as do those that read it, and is made again after the copy', async () => {
    await using place = await Workplace.create();
    await place.write({
      totals: `/*\ncolumns: { customer_id: { tests: [unique] } }\n*/\n${TOTALS}`,
      seen: `/*\nmaterialization: view\n*/\nSELECT * FROM {{ source('orders') }}`,
      top: `SELECT MAX(total) AS total FROM {{ ref('totals') }}`,
      count: `SELECT COUNT(*) AS n FROM {{ ref('seen') }}`,
      other: 'SELECT 1 AS one',
    });
    await place.run();
    await place.scripted.append([order(4, 2, 5)]);
    await copying(place, 1);
    const report = await place.run();
    assert.deepEqual(outcomes(report), {
      other: 'done',
      totals: waiting,
      seen: waiting,
      top: waiting,
      count: waiting,
      unique_totals_customer_id: waiting,
    });
    assert.ok(isGood(report));
    assert.deepEqual(failedModels(report), []);
    assert.deepEqual(await place.rows('top'), [['30.00']]);
    assert.deepEqual(await place.rows('count'), [[3]]);
    await copying(place, undefined);
    assert.deepEqual(
      new Set(Object.values(outcomes(await place.run()))),
      new Set(['done', 'passed']),
    );
    assert.deepEqual(await place.rows('top'), [['35.00']]);
  });

  test('waits without a result of before, too', async () => {
    await using place = await Workplace.create();
    await place.write({ totals: TOTALS });
    await copying(place, 1);
    assert.deepEqual(outcomes(await place.run()), { totals: waiting });
    assert.equal(await place.rows('totals'), undefined);
  });

  test('waits when a test of severity error reads it, and not for one that only warns', async () => {
    await using place = await Workplace.create();
    const known = (severity: string) =>
      `/*\ntests: [{ name: known, severity: ${severity}, sql: "SELECT * FROM {{ source('orders') }} WHERE id < 0" }]\n*/\nSELECT 1 AS one`;
    await place.write({ one: known('error') });
    await copying(place, 1);
    assert.deepEqual(outcomes(await place.run()), { one: waiting, known: waiting });
    assert.equal(await place.rows('one'), undefined);
    assert.deepEqual(outcomes(await place.run({ test: new Set() })), { one: 'done' });
    await place.write({ one: known('warn') });
    assert.deepEqual(outcomes(await place.run()), { one: 'done', known: waiting });
  });

  test('fails all the same for what no copy mends', async () => {
    await using place = await Workplace.create();
    await place.write({
      both: `SELECT 1 AS one FROM {{ source('orders') }}, {{ source('missing') }}`,
    });
    await copying(place, 1);
    assert.match(outcomes(await place.run())['both'] ?? '', /^failed: the source missing/);
  });
});

describe('a run of models', () => {
  test('makes what there is in one commit, and tells how far it is', async () => {
    await using place = await Workplace.create();
    await place.write({
      totals: `/*\ncolumns: { customer_id: { tests: [unique, not_null] } }\n*/\n${TOTALS}`,
      rich: `/*\nmaterialization: view\n*/\nSELECT * FROM {{ ref('totals') }} WHERE total >= 30`,
      richest: `SELECT MAX(total) AS total, {{ run_started_at }} AS at FROM {{ ref('rich') }}`,
    });
    const { version } = await place.scripted.lake.manifest();
    const events: RunEvent[] = [];
    const report = await place.run({ onEvent: (event) => events.push(event) });
    assert.ok(isGood(report));
    assert.deepEqual(await place.rows('totals'), [
      [1, '30.00'],
      [2, '30.00'],
    ]);
    assert.deepEqual(await place.rows('richest'), [['30.00', '2026-01-31 12:00:00']]);
    const manifest = await place.scripted.lake.manifest();
    assert.equal(manifest.version, version + 1);
    assert.match(manifest.models['rich']?.sql ?? '', /FROM models\."totals"/);
    assert.deepEqual(
      events.flatMap((event) =>
        event.kind === 'started' ? [] : `${event.number} of ${event.total} ${event.report.name}`,
      ),
      [
        '1 of 3 totals',
        '1 of 2 unique_totals_customer_id',
        '2 of 2 not_null_totals_customer_id',
        '2 of 3 rich',
        '3 of 3 richest',
      ],
    );
    assert.deepEqual(await readReports(place.scripted.lake, 5), [report]);
  });

  test('holds back a model, and what reads it, while a test of severity error fails', async () => {
    await using place = await Workplace.create();
    const models = (most: number, severity: string) => ({
      totals: `/*
tests:
  - { expression: total <= ${most}, severity: ${severity}, name: no_more }
*/
${TOTALS}`,
      doubled: `SELECT customer_id, total + total AS total FROM {{ ref('totals') }}`,
      other: 'SELECT 1 AS one',
    });
    await place.write(models(100, 'error'));
    assert.ok(isGood(await place.run()));
    await place.scripted.append([order(4, 2, 1000)]);

    const held = await place.run();
    assert.deepEqual(outcomes(held), {
      totals: 'failed: its test no_more found a row that should not be',
      doubled: 'skipped: no_more',
      other: 'done',
      no_more: 'failed',
    });
    assert.deepEqual(await place.failingRows(held, 'no_more'), [[2, '1030.00']]);
    assert.deepEqual((await place.rows('totals'))?.at(-1), [2, '30.00']);
    assert.deepEqual((await place.rows('doubled'))?.length, 2);
    assert.deepEqual(await readdir(place.scripted.lake.path('models/totals')), [
      must((await place.scripted.lake.manifest()).models['totals'], 'the first run').runId,
    ]);

    await place.write(models(100, 'warn'));
    const warned = await place.run();
    assert.ok(isGood(warned));
    assert.equal(outcomes(warned)['no_more'], 'failed');
    assert.deepEqual((await place.rows('totals'))?.at(-1), [2, '1030.00']);
  });

  test('keeps the last good result of a model that fails at row 1,000,000', async () => {
    await using place = await Workplace.create();
    const numbers = (last: string) => ({
      numbers: `SELECT i, CAST(CASE WHEN i = 999999 THEN '${last}' ELSE '7' END AS INTEGER) AS seven
FROM (SELECT UNNEST(range(1000000)) AS i) AS numbers`,
      count: "SELECT COUNT(*) AS n FROM {{ ref('numbers') }}",
      other: TOTALS,
    });
    await place.write(numbers('7'));
    await place.run();
    await place.write(numbers('seven'));
    await place.scripted.append([order(4, 3, 1)]);
    const report = await place.run();
    const [failed, skipped] = [report.models[0], report.models[1]].toSorted((a, b) =>
      String(b?.name).localeCompare(String(a?.name)),
    );
    assert.equal(failed?.outcome, 'failed');
    assert.match(
      'problem' in failed ? failed.problem : '',
      /Could not convert string 'seven' to INT32/,
    );
    assert.equal('line' in failed ? failed.line : 0, 4);
    assert.deepEqual(skipped?.outcome, 'skipped');
    assert.deepEqual(await place.rows('count'), [[1_000_000]]);
    assert.equal((await place.rows('other'))?.length, 3);
  });

  test('says what became of a column that is gone from the source, to who reads it through others too', async () => {
    await using place = await Workplace.create();
    await place.write({
      all_orders: "/*\nmaterialization: view\n*/\nSELECT * FROM {{ source('orders') }}",
      behind: "SELECT o.total\nFROM {{ ref('all_orders') }} AS o",
      renamed: "SELECT customer_id FROM {{ source('orders') }}",
      tested: `/*
tests: [{ sql: "SELECT TOTAL FROM {{ source('orders') }}", severity: warn, name: none }]
*/
SELECT 1 AS one`,
      totals: TOTALS,
    });
    const number = (column: number) => ({ table: 7, column });
    await place.scripted.edit('orders', (table) => {
      const [first] = table.schemas;
      const columns = must(first, 'the only one').columns.map((column, at) => ({
        ...column,
        number: number(at + 1),
      }));
      const [id, customer] = columns;
      const after = [must(id, 'one'), { ...must(customer, 'two'), name: 'client_id' }];
      return {
        ...table,
        schemas: [
          { id: 0, columns },
          { id: 1, columns: after },
        ],
      };
    });
    const { batch } = place;
    const columns = ['id', 'client_id'].map((name) => ({ name, type: 'INTEGER' }));
    const later = await ScriptedLake.create(batch.lakeDir, batch.engine, [
      { name: 'orders', key: ['id'], columns },
    ]);
    await later.append([{ table: 'orders', op: 'c', row: { id: 4, client_id: 2 } }], NOW_MS);
    const told = outcomes(await place.run());
    const gone =
      'total of public.orders was dropped at the source; seen at 2026-01-31T12:00:00.000Z';
    assert.equal(told['behind'], `failed: Table "o" does not have a column named "total". ${gone}`);
    assert.match(
      told['renamed'] ?? '',
      /customer_id of public\.orders was renamed to client_id at the source; seen at/,
    );
    assert.match(told['totals'] ?? '', /at the source; seen at/);
    assert.match(told['none'] ?? '', /^error/);
  });

  test('says in one message that an input is damaged, missing or gone from the source', async () => {
    await using place = await Workplace.create();
    await place.write({
      totals: TOTALS,
      twice: "SELECT total FROM {{ ref('totals') }}",
      one: 'SELECT 1 AS one',
    });
    await place.run();
    const before = await place.rows('totals');
    const { lake } = place.scripted;
    const file = must((await lake.manifest()).tables['dbserver1.public.orders']?.changes[0], 'one');
    await truncate(lake.path(file.path), 100);
    const damaged = outcomes(await place.run());
    assert.match(
      damaged['totals'] ?? '',
      new RegExp(`^failed: .*${file.path} is missing or damaged`),
    );
    assert.equal(damaged['twice'], 'skipped: totals');
    assert.equal(damaged['one'], 'done');
    assert.deepEqual(await place.rows('totals'), before);

    await rm(lake.path(file.path));
    assert.match(outcomes(await place.run())['totals'] ?? '', /^failed: .*is missing or damaged/);
    await place.scripted.edit('orders', (table) => ({
      ...table,
      schemas: table.schemas.map((schema) => ({
        ...schema,
        columns: schema.columns.filter(({ name }) => name !== 'total'),
      })),
      changes: [],
    }));
    const dropped = await place.run();
    assert.match(outcomes(dropped)['totals'] ?? '', /^failed: .*"total" not found/);
    assert.deepEqual(await place.rows('totals'), before);
    await lake.commit((manifest) => ({ ...manifest, tables: {} }));
    assert.equal(
      outcomes(await place.run())['totals'],
      'failed: the source orders is not in the lake, which has no table yet',
    );
    assert.deepEqual(await place.rows('totals'), before);
  });

  test('reads what it does not make as its last run left it', async () => {
    await using place = await Workplace.create();
    await place.write({
      totals: TOTALS,
      rich: "/*\nmaterialization: view\n*/\nSELECT * FROM {{ ref('totals') }} WHERE total > 30",
      count: "SELECT COUNT(*) AS n FROM {{ ref('rich') }}",
    });
    const build = new Set(['count']);
    assert.deepEqual(outcomes(await place.run({ build })), {
      count: 'failed: the model totals has no result yet: run it too, as with +',
    });
    await place.run();
    await place.scripted.append([order(4, 2, 1000)]);
    await place.run({ build });
    assert.deepEqual(await place.rows('count'), [[0]]);
    await place.run();
    assert.deepEqual(await place.rows('count'), [[1]]);
  });

  test('drops the results of models that are gone when it makes all, and only then', async () => {
    await using place = await Workplace.create();
    await place.write({ kept: 'SELECT 1 AS one', gone: 'SELECT 2 AS two' });
    await place.run();
    const before = await place.scripted.lake.manifest();
    await rm(join(place.batch.modelsDir, 'gone.sql'));
    assert.equal((await place.run({ build: new Set(['kept']) })).dropped, undefined);
    assert.ok('gone' in (await place.scripted.lake.manifest()).models);
    assert.deepEqual((await place.run({ dropsOthers: true })).dropped, ['gone']);
    const after = await place.scripted.lake.manifest();
    assert.deepEqual(Object.keys(after.models), ['kept']);
    const removed = after.removed.map(({ path }) => path);
    for (const { path } of must(before.models['gone'], 'it was made').files)
      assert.ok(removed.includes(path), path);
    assert.equal((await place.run({ dropsOthers: true })).dropped, undefined);
  });

  test('is refused while another makes models, and asks tests meanwhile', async () => {
    await using place = await Workplace.create();
    await place.write({ totals: `/*\ntests: [{ row_count: { min: 9 } }]\n*/\n${TOTALS}` });
    await place.run({ test: new Set() });
    using _lock = place.scripted.lake.lock('models');
    await assert.rejects(place.run(), { code: 'lake_busy' });
    const report = await place.run({ build: new Set(), test: new Set(['totals']) });
    assert.deepEqual(outcomes(report), { row_count_totals: 'failed' });
    assert.deepEqual(await place.failingRows(report, 'row_count_totals'), [[2]]);
  });

  test('removes what runs left that died, and nothing that readers still have', async () => {
    await using place = await Workplace.create();
    await place.write({ totals: TOTALS });
    const [first, second] = [await place.run(), await place.run()];
    const dead = '20260101T000000000-00000000';
    const left = [
      `models/totals/${dead}`,
      `models/gone/${dead}`,
      `scratch/${dead}`,
      `failures/${dead}`,
    ];
    for (const folder of left) {
      const file = place.scripted.lake.path(`${folder}/rows.parquet`);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, 'half');
    }
    const third = await place.run();
    for (const folder of left)
      await assert.rejects(readdir(place.scripted.lake.path(folder)), { code: 'ENOENT' });
    const kept = await readdir(place.scripted.lake.path('models/totals'));
    assert.deepEqual(kept.toSorted(), [first.runId, second.runId, third.runId]);
  });

  test('leaves nothing of itself when it is stopped', async () => {
    await using place = await Workplace.create();
    await place.write({ totals: TOTALS, next: "SELECT * FROM {{ ref('totals') }}" });
    const before = await place.scripted.lake.manifest();
    const stop = new AbortController();
    const onEvent = (event: RunEvent) => event.kind === 'model' && stop.abort(new Error('enough'));
    await assert.rejects(place.run({ onEvent, signal: stop.signal }), /enough/);
    assert.deepEqual(await place.scripted.lake.manifest(), before);
    assert.deepEqual(await readdir(place.scripted.lake.path('models/totals')), []);
  });

  test('tells that the disk is full, and keeps the last good result', async (t) => {
    await using place = await Workplace.create();
    const models = place.scripted.lake.path('models');
    await mkdir(models);
    try {
      const mount = ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', models];
      execFileSync('/bin/mount', mount, { stdio: 'ignore' });
    } catch {
      t.skip('needs the right to mount');
      return;
    }
    try {
      const big = (rows: number) =>
        `SELECT i, md5(CAST(i AS VARCHAR)) AS text FROM (SELECT UNNEST(range(${rows})) AS i) AS numbers`;
      await place.write({ big: big(10), small: 'SELECT 1 AS one' });
      await place.run();
      await place.write({ big: big(200_000) });
      const report = await place.run();
      assert.match(outcomes(report)['big'] ?? '', /^failed: No space is left on the disk/);
      assert.equal((await place.rows('big'))?.length, 10);
      assert.deepEqual(await place.rows('small'), [[1]]);
    } finally {
      execFileSync('/bin/umount', [models]);
    }
  });
});
