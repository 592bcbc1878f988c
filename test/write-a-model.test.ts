import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { DuckDbEngine } from '../src/adapters/duckdb/engine.ts';
import { checkModels, runUnitTestsOnce } from '../src/app/batch/run-models.ts';

const GUIDE = join(import.meta.dirname, '../docs/guides/write-a-model.md');
const MOST_LINES = 15;

const ORDERS = {
  schema: 'public',
  name: 'orders',
  dropped: [],
  columns: [
    { name: 'id', type: 'INTEGER' },
    { name: 'customer_id', type: 'INTEGER' },
    { name: 'order_date', type: 'TIMESTAMP' },
    { name: 'total_amount', type: 'DECIMAL(10,2)' },
  ],
};

const files = [
  ...readFileSync(GUIDE, 'utf8').matchAll(/```(?:sql|yaml) file=(\S+)\n([^]*?)```/g),
].map(([, file = '', text = '']) => ({ file, text }));

test("the guide's models compile, and pass their unit tests", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-guide-'));
  for (const { file, text } of files) {
    await mkdir(dirname(join(folder.path, file)), { recursive: true });
    await writeFile(join(folder.path, file), text);
  }
  await using engine = await DuckDbEngine.open({
    memoryLimit: '64MB',
    threads: 1,
    tempDirectory: join(folder.path, 'tmp'),
  });
  const place = {
    engine,
    modelsDir: join(folder.path, 'models'),
    variables: {},
    sourcesOf: () => Promise.resolve([ORDERS]),
  };
  const { signal } = new AbortController();
  assert.deepEqual(await checkModels(place, { signal }), []);
  const reports = await runUnitTestsOnce(place, { signal, onReport: () => {} });
  assert.equal(reports.length, 1);
  for (const report of reports) assert.equal(report.outcome, 'passed', JSON.stringify(report));
});

test("the guide's first model takes no more than 15 lines", () => {
  const lines = files[0]?.text.trim().split('\n') ?? [];
  assert.ok(lines.length <= MOST_LINES, `${lines.length} lines`);
});
