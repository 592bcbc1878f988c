import assert from 'node:assert/strict';
import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DuckDbEngine } from '../../adapters/duckdb/engine.ts';
import { lakeTypeOf } from '../../batch/lake/column-type.ts';
import { must } from '../../lib/must.ts';
import { runUnitTestsOnce } from '../batch/run-models.ts';
import type { DescribedTable } from '../described-tables.ts';
import { sampleModel } from './sample-model.ts';

const table = (name: string, columns: Readonly<Record<string, string>>): DescribedTable => ({
  schema: 'odd, one',
  name,
  topic: 't',
  key: [],
  hasOldRows: true,
  estimatedRows: 0,
  columns: Object.entries(columns).map(([column, sqlType]) => ({
    name: column,
    sqlType,
    type: 'text',
    isNullable: true,
  })),
});

for (const [name, columns] of [
  ['visits', { id: 'integer', at: 'timestamp with time zone' }],
  ["it's", { 'the "day" of: it': 'date' }],
  ['notes', { tags: 'timestamp without time zone[]' }],
] as const)
  test(`the model of a new pipeline passes its unit test, of ${name}`, async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-sample-'));
    const described = table(name, columns);
    const model = must(sampleModel(described), 'it can be named');
    const modelsDir = join(folder.path, 'models');
    await mkdir(modelsDir);
    await writeFile(join(modelsDir, `${model.name}.sql`), model.sql);
    await writeFile(join(modelsDir, `${model.name}.test.yaml`), model.test);
    await using engine = await DuckDbEngine.open({
      memoryLimit: '64MB',
      threads: 1,
      tempDirectory: join(folder.path, 'tmp'),
    });
    const source = {
      ...described,
      columns: described.columns.map((column) => ({
        name: column.name,
        type: lakeTypeOf(column.sqlType),
      })),
      dropped: [],
    };
    const reports = await runUnitTestsOnce(
      { engine, modelsDir, variables: {}, sourcesOf: () => Promise.resolve([source]) },
      { onReport: () => {}, signal: new AbortController().signal },
    );
    assert.ok(reports.length > 0);
    for (const report of reports) assert.equal(report.outcome, 'passed', JSON.stringify(report));
  });

test('a table whose name no template can hold has none', () => {
  assert.equal(sampleModel(table('a"b', { id: 'integer' })), undefined);
});
