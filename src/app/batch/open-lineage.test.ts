import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import type { RunEvent } from '../../batch/lineage/open-lineage.ts';
import { must } from '../../lib/must.ts';
import { assertOpenLineage } from '../../../test/openlineage.ts';
import { ScriptedLake } from '../../../test/scripted-lake.ts';
import { TemporaryBatch } from '../../../test/temporary-batch.ts';
import { readConfig } from '../config/config.ts';
import { OpenLineage } from './open-lineage.ts';
import { runModelsOnce } from './run-models.ts';

const never = new AbortController().signal;

const MODELS = {
  'totals.sql': `/*
materialization: table
description: What each customer spent.
columns:
  customer_id: { tests: [unique, not_null] }
tests:
  - expression: total > 0
    severity: warn
*/
SELECT customer_id, CAST(SUM(amount) AS BIGINT) AS total FROM {{ source('orders') }} WHERE amount IS NOT NULL GROUP BY customer_id
`,
  'best.sql': "SELECT CAST(total * {{ var('rate') }} AS BIGINT) AS best FROM {{ ref('totals') }}\n",
};
const BROKEN = {
  'broken.sql':
    "/*\nmaterialization: table\n*/\nSELECT CAST('x' || customer_id AS INTEGER) AS n FROM {{ source('orders') }}\n",
  'after_broken.sql': "/*\nmaterialization: table\n*/\nSELECT n FROM {{ ref('broken') }}\n",
};

describe('OpenLineage', () => {
  test('is told of a run, of each model in it, and of its tests, by its schemas', async () => {
    await using run = await listenedRun(MODELS);
    await run.run();
    assert.deepEqual(run.failures, []);
    assert.deepEqual(
      run.events.map(({ eventType, job }) => `${job.namespace} ${job.name} ${eventType}`),
      [
        'millrace://shop models START',
        'millrace://shop models.totals START',
        'millrace://shop models.totals COMPLETE',
        'millrace://shop models.best START',
        'millrace://shop models.best COMPLETE',
        'millrace://shop models.totals.test START',
        'millrace://shop models.totals.test COMPLETE',
        'millrace://shop models COMPLETE',
      ],
    );
    await assertOpenLineage(run.events);
    const runs = Map.groupBy(run.events, (event) => event.run.runId);
    assert.deepEqual(
      [...runs.values()].map((each) => each.length),
      [2, 2, 2, 2],
    );
    const parents = run.events.flatMap(({ run: { facets } }) => facets?.['parent']?.['run'] ?? []);
    assert.equal(parents.length, 6);
    assert.deepEqual(
      new Set(parents.map((each) => JSON.stringify(each))),
      new Set([JSON.stringify({ runId: run.events[0]?.run.runId })]),
    );
  });

  test('is told where columns come from, how many rows there are, and what tests found', async () => {
    await using run = await listenedRun(MODELS);
    await run.run();
    const totals = run.ended('models.totals');
    assert.deepEqual(
      totals.inputs.map(({ namespace, name }) => [namespace, name]),
      [['postgres://db.example:5433', 'shop_db.public.orders']],
    );
    const [output] = totals.outputs;
    assert.deepEqual([output?.namespace, output?.name], ['millrace://models', 'totals']);
    assert.equal(output?.outputFacets?.['outputStatistics']?.['rowCount'], 2);
    const lineage = output?.facets?.['columnLineage'];
    const orders = { namespace: 'postgres://db.example:5433', name: 'shop_db.public.orders' };
    const way = (type: string, subtype: string) => ({
      type,
      subtype,
      description: '',
      masking: false,
    });
    assert.deepEqual(lineage?.['fields'], {
      customer_id: {
        inputFields: [
          { ...orders, field: 'customer_id', transformations: [way('DIRECT', 'IDENTITY')] },
        ],
      },
      total: {
        inputFields: [
          { ...orders, field: 'amount', transformations: [way('DIRECT', 'AGGREGATION')] },
        ],
      },
    });
    assert.deepEqual(lineage?.['dataset'], [
      { ...orders, field: 'amount', transformations: [way('INDIRECT', 'FILTER')] },
      { ...orders, field: 'customer_id', transformations: [way('INDIRECT', 'GROUP_BY')] },
    ]);
    const [tested] = run.ended('models.totals.test').inputs;
    assert.deepEqual(tested?.inputFacets?.['dataQualityAssertions']?.['assertions'], [
      { assertion: 'unique_totals_customer_id', success: true, column: 'customer_id' },
      { assertion: 'not_null_totals_customer_id', success: true, column: 'customer_id' },
      { assertion: 'expression_totals_total_0', success: false },
    ]);
  });

  test('is told of a model that fails, and of what is not made for it, and of no value of a variable', async () => {
    await using run = await listenedRun({ ...MODELS, ...BROKEN });
    await run.run();
    await assertOpenLineage(run.events);
    const broken = run.ended('models.broken');
    assert.equal(broken.eventType, 'FAIL');
    assert.match(String(broken.run.facets?.['errorMessage']?.['message']), /Could not convert/);
    assert.equal(
      run.events.some(({ job }) => job.name === 'models.after_broken'),
      false,
    );
    assert.match(
      String(run.ended('models').run.facets?.['errorMessage']?.['message']),
      /broken, after_broken/,
    );
    assert.equal(JSON.stringify(run.events).includes('1234567'), false);
  });

  test('is not waited for when it refuses, or is not there, and fails no run', async () => {
    await using refusing = await listenedRun(MODELS, 500);
    const { report } = await refusing.run();
    assert.equal(
      report.models.every(({ outcome }) => outcome === 'done'),
      true,
    );
    assert.equal(refusing.events.length, 1);
    assert.deepEqual(refusing.failures, [`${refusing.origin}: HTTP 500: no`]);

    await using absent = await listenedRun(MODELS);
    await absent.stop();
    await absent.run();
    assert.equal(absent.failures.length, 1);
    assert.match(must(absent.failures[0], 'there is one'), /ECONNREFUSED/);
  });

  test('is given the login of its address as a header, and tells nobody of it', async () => {
    await using run = await listenedRun(MODELS, 401);
    await run.run();
    assert.deepEqual(run.logins, [`Basic ${Buffer.from('me:secret').toString('base64')}`]);
    assert.equal(run.failures.join().includes('secret'), false);
  });
});

async function listenedRun(models: Readonly<Record<string, string>>, status = 201) {
  await using resources = new AsyncDisposableStack();
  const events: RunEvent[] = [];
  const failures: string[] = [];
  const logins: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      assert.equal(`${request.method} ${request.url}`, 'POST /api/v1/lineage');
      events.push(JSON.parse(body) as RunEvent);
      logins.push(request.headers.authorization);
      response.writeHead(status).end(status === 201 ? '' : 'no');
    });
  });
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  await once(server.listen(0, '127.0.0.1'), 'listening');
  resources.defer(stop);
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const batch = resources.use(await TemporaryBatch.create());
  const { lake } = await ordersLake(batch);
  await mkdir(batch.modelsDir);
  for (const [name, sql] of Object.entries(models))
    await writeFile(join(batch.modelsDir, name), sql);
  const config = readConfig(
    {
      POSTGRES_HOST: 'db.example',
      POSTGRES_PORT: '5433',
      POSTGRES_DB: 'shop_db',
      OPENLINEAGE_URL: origin.replace('//', '//me:secret@'),
    },
    { dataDir: batch.dir },
  );
  const onFailure = (why: string): void => void failures.push(why);
  const openLineage = OpenLineage.of({ config, pipeline: { name: 'shop' }, onFailure });
  const place = {
    lake,
    warehouse: batch.warehouse,
    modelsDir: batch.modelsDir,
    variables: { rate: 1234567 },
    openLineage,
  };
  const owned = resources.move();
  return {
    origin,
    events,
    failures,
    logins,
    stop,
    run: () => runModelsOnce(place, { signal: never }),
    ended: (job: string): RunEvent =>
      must(
        events.findLast((event) => event.job.name === job),
        `${job} has run`,
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function ordersLake({ lakeDir, engine }: TemporaryBatch): Promise<ScriptedLake> {
  const lake = await ScriptedLake.create(lakeDir, engine, [
    {
      name: 'orders',
      key: ['id'],
      columns: ['id', 'customer_id', 'amount'].map((name) => ({ name, type: 'INTEGER' })),
    },
  ]);
  await lake.append([
    { table: 'orders', op: 'c', row: { id: 1, customer_id: 1, amount: 5 } },
    { table: 'orders', op: 'c', row: { id: 2, customer_id: 2, amount: -5 } },
  ]);
  return lake;
}
