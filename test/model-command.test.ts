import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DuckDbEngine } from '../src/adapters/duckdb/engine.ts';
import { Lake } from '../src/batch/lake/lake.ts';
import type { LakeTable } from '../src/batch/lake/manifest.ts';
import { CommandLine, jsonLines } from './command-line.ts';

const ORDERS = `/*
materialization: table
tags: [daily]
owner: analytics
description: What each customer < bought.
columns:
  customer_id: { description: The customer., tests: [unique, not_null] }
tests: [{ row_count: { min: 1 } }]
serve: [{ key: 'spent:latest' }]
*/
SELECT customer_id, CAST(SUM(total) AS DECIMAL(18, 2)) AS spent
FROM {{ source('orders') }}
WHERE placed <= {{ run_started_at }}
GROUP BY customer_id
`;

const table: LakeTable = {
  topic: 'p.public.orders',
  schema: 'public',
  name: 'orders',
  key: ['id'],
  schemas: [
    {
      id: 0,
      columns: [
        { name: 'id', source: 'id', type: 'INTEGER', sqlType: 'integer' },
        { name: 'customer_id', source: 'customer_id', type: 'INTEGER', sqlType: 'integer' },
        { name: 'total', source: 'total', type: 'DECIMAL(10,2)', sqlType: 'numeric(10,2)' },
        { name: 'placed', source: 'placed', type: 'TIMESTAMP', sqlType: 'timestamp' },
      ],
    },
  ],
  offsets: {},
  changes: [],
  bases: [],
  resets: [],
};

describe('millrace model', () => {
  let shell: CommandLine;
  before(async () => {
    shell = await CommandLine.make();
    const pipelineDir = join(shell.folder, 'pipeline');
    shell.pipelineDir = pipelineDir;
    await mkdir(join(pipelineDir, 'models'), { recursive: true });
    await writeFile(
      join(pipelineDir, 'pipeline.js'),
      "export const pipeline = { name: 'mine', processors: [], modelVariables: { least: 10 } };\n",
    );
    await writeFile(join(pipelineDir, 'models/spent.sql'), ORDERS);
    await writeFile(
      join(pipelineDir, 'models/best.sql'),
      "SELECT * FROM {{ ref('spent') }}\nWHERE spent > {{ var('least') }}\n",
    );
    const lake = await Lake.open(join(shell.dataDir, 'lake'));
    const path = 'models/spent/1/a.parquet';
    await mkdir(join(lake.dir, 'models/spent/1'), { recursive: true });
    await using engine = await DuckDbEngine.open({
      memoryLimit: '64MB',
      threads: 1,
      tempDirectory: join(shell.folder, 'tmp'),
    });
    await engine.run(
      `COPY (SELECT CAST(i AS INTEGER) AS customer_id, CAST(i AS DECIMAL(18, 2)) AS spent FROM range(3) AS r(i)) TO '${lake.path(path)}'`,
    );
    await lake.commit((manifest) => ({
      ...manifest,
      tables: { [table.topic]: table },
      models: {
        spent: {
          name: 'spent',
          materialization: 'table',
          runId: '1',
          builtAtMs: Date.UTC(2026, 0, 31),
          fingerprint: 'x',
          columns: [
            { name: 'customer_id', type: 'INTEGER' },
            { name: 'spent', type: 'DECIMAL(18,2)' },
          ],
          rows: 3,
          files: [{ path, rows: 3, bytes: 1 }],
          inputs: {},
        },
      },
    }));
  });
  after(() => shell[Symbol.asyncDispose]());

  test('ls lists models with what their last run made', async () => {
    const [head, spent, best] = (await shell.succeed('model', 'ls')).split('\n');
    assert.match(String(head), /^MODEL +KEPT AS +TAGS +DEPENDS ON +TESTS +ROWS +LAST MADE$/);
    assert.match(String(spent), /^spent +table +daily +orders +3 +3 +2026-01-31 00:00:00$/);
    assert.match(String(best), /^best +view +spent +0 +never$/);
    const [only, ...others] = jsonLines(await shell.succeed('model', 'ls', 'tag:daily', '--json'));
    assert.deepEqual(others, []);
    assert.deepEqual(only?.['serves'], ['spent:latest']);
  });

  test('compile says that all is well, prints the SQL of those named, or all that is wrong', async () => {
    assert.equal(await shell.succeed('model', 'compile'), '2 models, 3 tests: all well.\n');
    assert.equal(
      await shell.succeed('model', 'compile', 'best'),
      '-- best, of models/best.sql\nSELECT * FROM "spent"\nWHERE spent > 10;\n',
    );
    const bad = join(shell.pipelineDir, 'models/bad.sql');
    await writeFile(bad, "SELECT AVG(total) AS average\nFROM {{ source('ordrs') }}\n");
    const { exitCode, err } = await shell.run('model', 'compile', '--json');
    assert.equal(exitCode, 78);
    const { error } = JSON.parse(err) as { error: { code: string; facts: { problems: string[] } } };
    assert.equal(error.code, 'models_invalid');
    assert.deepEqual(error.facts.problems, [
      'models/bad.sql:2: there is no table ordrs; did you mean orders?',
    ]);
    await writeFile(bad, "SELECT AVG(total) AS average\nFROM {{ source('orders') }}\n");
    assert.match((await shell.run('model', 'compile')).err, /bad\.sql:1: AVG of a decimal: write /);
    await writeFile(
      bad,
      "/*\ndialect: duckdb\n*/ SELECT AVG(total) AS average FROM {{ source('orders') }}",
    );
    assert.equal(await shell.succeed('model', 'compile'), '3 models, 3 tests: all well.\n');
  });

  test('show prints the first rows of the last result, and refuses what was never made', async () => {
    assert.equal(
      await shell.succeed('model', 'show', 'spent', '--limit', '2'),
      'customer_id  spent\n          0   0.00\n          1   1.00\n',
    );
    const [shown] = jsonLines(await shell.succeed('model', 'show', 'spent', '--json'));
    assert.equal(shown?.['description'], 'What each customer < bought.');
    assert.deepEqual([shown?.['rowCount'], shown?.['more']], [3, 0]);
    const [cut] = jsonLines(
      await shell.succeed('model', 'show', 'spent', '--limit', '2', '--json'),
    );
    assert.equal(cut?.['more'], 1);
    const { exitCode, err } = await shell.run('model', 'show', 'spend');
    assert.equal(exitCode, 2);
    assert.match(err, /found: spend; did you mean spent\?/);
    assert.match((await shell.run('model', 'show', 'best')).err, /millrace model run best/);
  });

  test('docs writes one page that needs nothing else', async () => {
    assert.match(
      await shell.succeed('model', 'docs', '--to', 'site'),
      /^Wrote site\/index\.html: \d models/,
    );
    const page = await readFile(join(shell.folder, 'site/index.html'), 'utf8');
    assert.match(page, /What each customer &lt; bought\./);
    assert.match(page, /<section id="best">/);
    assert.match(page, /<a href="#spent"><rect class="model"/);
    assert.match(page, /<td>unique, never null<\/td>/);
    assert.match(page, /orders\.total/);
    assert.doesNotMatch(page, /<(script|link|img)|src=|https?:/);
  });

  test('without a lake and a source it says how to get one', async () => {
    await using fresh = await CommandLine.make();
    const { exitCode, err } = await fresh.run('model', 'compile');
    assert.equal(exitCode, 69);
    assert.match(err, /not_running/);
    assert.match(await fresh.succeed('model', 'ls'), /customer_segments .* never\n/);
    assert.equal(existsSync(fresh.dataDir), false);
  });
});
