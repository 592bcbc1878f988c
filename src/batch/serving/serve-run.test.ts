import assert from 'node:assert/strict';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DuckDbEngine } from '../../adapters/duckdb/engine.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { serveRun, type ServedRun } from './serve-run.ts';

const STARTED_MS = Date.UTC(2026, 10, 23, 10, 20, 30);

const serve = [
  { key: 'worth:latest', limit: 2 },
  { key: 'worth:{run_time}', limit: 1, expiresSeconds: 7200 },
  { key: 'worth:{run_number}', limit: 10, expiresSeconds: 86_400 },
];

async function withRun(
  work: (run: ServedRun, place: { store: MemoryStore; engine: DuckDbEngine }) => Promise<void>,
): Promise<void> {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'millrace-serve-'));
  await using engine = await DuckDbEngine.open({
    memoryLimit: '100MB',
    tempDirectory: join(dir.path, 'tmp'),
  });
  const file = join(dir.path, "it's one.parquet");
  await engine.run(`COPY (SELECT * FROM (VALUES
    ('Ann', CAST(12.50 AS DECIMAL(10,2)), TIMESTAMP '2026-01-02 03:04:05'),
    ('Bob', NULL, NULL), ('Cy', 0.00, NULL)) AS t(name, spent, last_order))
    TO '${file.replaceAll("'", "''")}' (FORMAT parquet)`);
  const run: ServedRun = {
    runId: 'run-1',
    startedAtMs: STARTED_MS,
    seconds: 1.25,
    isGood: true,
    results: [{ model: 'worth', serve, files: [file], rows: 3 }],
    quality: [
      { test: 'a', model: 'worth', severity: 'error', outcome: 'passed', failingRows: 0 },
      { test: 'b', model: 'worth', severity: 'warn', outcome: 'failed', failingRows: 2 },
    ],
  };
  await work(run, { store: new MemoryStore(), engine });
}

const valueOf = async (store: MemoryStore, key: string, nowMs = STARTED_MS): Promise<unknown> => {
  const found = await store.get(key, nowMs);
  return found?.type === 'string' ? (JSON.parse(found.value) as unknown) : undefined;
};

describe('serveRun', () => {
  test('serves the first rows of a model under each of its keys, exactly as they are', async () => {
    await withRun(async (run, place) => {
      await serveRun(run, place);
      assert.deepEqual(await valueOf(place.store, 'worth:latest'), {
        model: 'worth',
        run_id: 'run-1',
        generated_at: '2026-11-23T10:20:30.000Z',
        total_rows: 3,
        rows: [
          { name: 'Ann', spent: '12.50', last_order: '2026-01-02 03:04:05' },
          { name: 'Bob', spent: null, last_order: null },
        ],
      });
      const dated = (await valueOf(place.store, 'worth:20261123_102030')) as { rows: unknown[] };
      assert.equal(dated.rows.length, 1);
      const numbered = (await valueOf(place.store, 'worth:1')) as { rows: unknown[] };
      assert.equal(numbered.rows.length, 3);
    });
  });

  test('lets dated values expire, counted from the start of the run, and the latest stay', async () => {
    await withRun(async (run, place) => {
      await serveRun(run, place);
      const laterMs = STARTED_MS + 7200 * 1000;
      assert.equal(await valueOf(place.store, 'worth:20261123_102030', laterMs), undefined);
      assert.notEqual(await valueOf(place.store, 'worth:1', laterMs), undefined);
      assert.notEqual(await valueOf(place.store, 'worth:latest', laterMs * 2), undefined);
    });
  });

  test('tells what became of runs and of tests', async () => {
    await withRun(async (run, place) => {
      await serveRun(run, place);
      await serveRun({ ...run, runId: 'run-2', isGood: false, results: [] }, place);
      await serveRun({ ...run, runId: 'run-3', seconds: 0.5 }, place);
      const figures = Object.fromEntries(
        await Promise.all(
          ['completed', 'failed', 'last_duration'].map(async (name) => [
            name,
            await valueOf(place.store, `batch_jobs:${name}`),
          ]),
        ),
      );
      assert.deepEqual(figures, { completed: 2, failed: 1, last_duration: 0.5 });
      const quality = (await valueOf(place.store, 'data_quality:latest')) as Record<
        string,
        unknown
      >;
      assert.deepEqual(
        [quality['run_id'], quality['tests'], quality['warnings'], quality['errors']],
        ['run-3', 2, 1, 0],
      );
    });
  });

  test('serves a run once, however often it is asked for', async () => {
    await withRun(async (run, place) => {
      assert.notDeepEqual((await serveRun(run, place)).keys, []);
      assert.deepEqual((await serveRun(run, place)).keys, []);
      assert.equal(await valueOf(place.store, 'batch_jobs:completed'), 1);
    });
  });

  test('two runs that are served at once are both served', async () => {
    await withRun(async (run, place) => {
      await Promise.all([serveRun(run, place), serveRun({ ...run, runId: 'run-2' }, place)]);
      assert.equal(await valueOf(place.store, 'batch_jobs:completed'), 2);
      assert.notEqual(await valueOf(place.store, 'worth:2'), undefined);
    });
  });

  test('serves the others where the rows of a model cannot be read, and names it', async () => {
    await withRun(async (run, place) => {
      const [good] = run.results;
      assert.ok(good);
      const lost = {
        ...good,
        model: 'lost',
        serve: [{ key: 'lost:latest', limit: 5 }],
        files: ['/nowhere/rows.parquet'],
      };
      const { keys, problems } = await serveRun({ ...run, results: [lost, good] }, place);
      assert.match(problems.join(), /^lost is served as it was: lake_file_damaged/);
      assert.ok(keys.includes('worth:latest') && !keys.includes('lost:latest'));
      assert.equal(await valueOf(place.store, 'batch_jobs:failed'), 1);
    });
  });

  test('serves as many rows as fit, and tells how many there are', async () => {
    await withRun(async (run, place) => {
      const [small] = run.results;
      const file = small?.files[0]?.replace('one', 'wide') ?? '';
      await place.engine.run(
        `COPY (SELECT i, repeat('x', 1000000) AS t FROM range(9) AS r(i)) TO '${file.replaceAll("'", "''")}' (FORMAT parquet)`,
      );
      const wide = { model: 'wide', serve: [{ key: 'w', limit: 100 }], files: [file], rows: 9 };
      await serveRun({ ...run, results: [wide] }, place);
      const value = (await valueOf(place.store, 'w')) as { rows: unknown[]; total_rows: number };
      assert.deepEqual([value.rows.length, value.total_rows], [4, 9]);
    });
  });
});
