import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DuckDbEngine } from '../src/adapters/duckdb/engine.ts';
import { CommandLine, jsonLines } from './command-line.ts';
import { assertOpenLineage } from './openlineage.ts';
import { ScriptedLake } from './scripted-lake.ts';

const SPENT = `/*
materialization: table
tags: [daily]
serve: [{ key: 'spent:latest' }, { key: 'spent:{run_time}', expires: 2h }]
*/
SELECT customer_id, CAST(SUM(total) AS DECIMAL(18, 2)) AS spent
FROM {{ source('orders') }} GROUP BY customer_id
`;
const BEST = `SELECT * FROM {{ ref('spent') }} WHERE spent > {{ var('least', 10) }}
`;

describe('millrace lineage', () => {
  let shell: CommandLine;
  before(async () => {
    shell = await CommandLine.make();
    shell.pipelineDir = join(shell.folder, 'pipeline');
    await mkdir(join(shell.pipelineDir, 'models'), { recursive: true });
    const files = {
      'pipeline.js': "export const pipeline = { name: 'mine', processors: [] };\n",
      'models/spent.sql': SPENT,
      'models/best.sql': BEST,
      'models/zones.sql': "SELECT 'north' AS zone\n",
    };
    for (const [name, text] of Object.entries(files))
      await writeFile(join(shell.pipelineDir, name), text);
    await using engine = await DuckDbEngine.open({
      memoryLimit: '64MB',
      threads: 1,
      tempDirectory: join(shell.folder, 'tmp'),
    });
    await ScriptedLake.create(join(shell.dataDir, 'lake'), engine, [
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
  });
  after(() => shell[Symbol.asyncDispose]());

  test('prints what each model reads and serves, and where its columns come from', async () => {
    assert.equal(
      await shell.succeed('lineage', '--columns'),
      `spent
  reads   public.orders
  serves  spent:latest, spent:{run_time}
  customer_id  ← public.orders.customer_id (identity)
  spent        ← public.orders.total (aggregation)
  rows         ← public.orders.customer_id (group by)

best
  reads   spent
  customer_id  ← spent.customer_id (identity)
  spent        ← spent.spent (identity)
  rows         ← spent.spent (filter)

zones
  reads   nothing
  zone  ← nothing that is read
`,
    );
  });

  test('draws it for Mermaid, of those selected and what they read', async () => {
    assert.equal(
      await shell.succeed('lineage', 'best', '--format', 'mermaid'),
      `flowchart LR
  n1["spent"]
  n2["best"]
  n1 --> n2
`,
    );
    const all = await shell.succeed('lineage', '--format', 'mermaid');
    assert.match(all, /\[\("public\.orders"\)\]\n.*\[\["dbserver1\.public\.orders"\]\]/);
    assert.match(all, /\(\["spent"\]\)/);
  });

  test('tells it in JSON, by the address of each thing', async () => {
    const printed = await shell.succeed('lineage', 'tag:daily', '--columns', '--json');
    const { nodes, columns } = JSON.parse(printed) as {
      nodes: readonly { id: string }[];
      columns: readonly unknown[];
    };
    assert.deepEqual(
      nodes.map(({ id }) => id),
      [
        'postgres://source_db/public/orders',
        'millrace://topics/dbserver1.public.orders',
        'millrace://models/spent',
        'millrace://store/spent',
      ],
    );
    assert.deepEqual(columns[1], {
      from: { node: 'postgres://source_db/public/orders', column: 'total', kind: 'AGGREGATION' },
      to: { node: 'millrace://models/spent', column: 'spent' },
    });
  });

  test('tells it as OpenLineage has it, an event a model', async () => {
    const events = jsonLines(await shell.succeed('lineage', '--format', 'openlineage'));
    assert.deepEqual(
      events.map((event) => (event['job'] as { name: string }).name),
      ['models.spent', 'models.best', 'models.zones'],
    );
    await assertOpenLineage(events);
  });

  test('refuses what selects nothing', async () => {
    const { exitCode, err } = await shell.run('lineage', 'bst');
    assert.equal(exitCode, 2);
    assert.match(err, /did you mean best\?/);
  });
});
