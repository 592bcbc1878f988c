import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DuckDbEngine } from '../../src/adapters/duckdb/engine.ts';
import { Lake } from '../../src/batch/lake/lake.ts';
import type { Manifest } from '../../src/batch/lake/manifest.ts';
import { must } from '../../src/lib/must.ts';
import type { SqlEngine } from '../../src/ports/sql-engine.ts';
import { seededRandom } from '../random.ts';
import type { ScriptedTable } from '../scripted-lake.ts';

export const ORDERS: ScriptedTable = {
  name: 'orders',
  key: ['id'],
  columns: [
    { name: 'id', type: 'INTEGER' },
    { name: 'customer_id', type: 'INTEGER' },
  ],
};

/** Each tells in `seen` how many orders it was made of, so that results of different runs differ. */
const MODELS: Readonly<Record<string, string>> = {
  counted: `/*
materialization: table
columns: { seen: { tests: [not_null] } }
*/
SELECT CAST(COUNT(*) AS BIGINT) AS seen FROM {{ source('orders') }}`,
  large: `/*
materialization: table
*/
SELECT seen, i FROM {{ ref('counted') }} CROSS JOIN (SELECT UNNEST(range(100000)) AS i) AS numbers`,
  customers: `/*
materialization: incremental_by_key
incremental: { column: customer_id, affected_by: { orders: customer_id } }
*/
SELECT customer_id, CAST(COUNT(*) AS BIGINT) AS orders FROM {{ source('orders') }}
WHERE {{ affected('customer_id') }} GROUP BY customer_id`,
};

/** What all models say of how many orders there were. */
const SEEN: Readonly<Record<string, string>> = {
  counted: 'SELECT MAX(seen) FROM rows',
  large:
    'SELECT CASE WHEN COUNT(*) = 100000 AND MIN(seen) = MAX(seen) THEN MAX(seen) END FROM rows',
  customers: 'SELECT CAST(SUM(orders) AS BIGINT) FROM rows',
};

/**
 * Kills runs of models at random instants. Whoever reads meanwhile, or after, finds the results of one
 * run for all models, and never older ones than before; the next run leaves nothing of the dead.
 * Returns how many results were looked at, and of how many runs.
 */
export async function killModelRuns(
  { seed, kills }: Readonly<{ seed: number; kills: number }>,
  signal: AbortSignal,
): Promise<Readonly<{ looks: number; results: number }>> {
  const random = seededRandom(seed);
  const dir = await mkdtemp(join(tmpdir(), 'millrace-model-kills-'));
  try {
    await mkdir(join(dir, 'models'));
    for (const [name, text] of Object.entries(MODELS))
      await writeFile(join(dir, 'models', `${name}.sql`), text);
    const options = { memoryLimit: '128MB', threads: 1, tempDirectory: join(dir, 'look') };
    await using engine = await DuckDbEngine.open(options);
    const reader = new Reader(await Lake.open(join(dir, 'lake')), engine);
    for (let kill = 0; kill < kills; kill += 1) {
      await runUntilKilled(dir, Math.floor(random() * 600), reader, signal);
      await reader.look();
    }
    await runOnce(dir, signal);
    await reader.look();
    await reader.checkRemains();
    return { looks: reader.looks, results: reader.results };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function runUntilKilled(
  dir: string,
  afterMs: number,
  reader: Reader,
  signal: AbortSignal,
): Promise<void> {
  const child = spawn(process.execPath, [PROGRAM, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  try {
    // The end of its life counts from its first run, or no kill would meet any.
    await Promise.race([once(child.stdout, 'data'), ended]);
    const atMs = performance.now() + afterMs;
    while (performance.now() < atMs) {
      signal.throwIfAborted();
      await reader.look();
    }
    assert.equal(child.exitCode, null, 'it runs models until it is killed');
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

async function runOnce(dir: string, signal: AbortSignal): Promise<void> {
  const child = spawn(process.execPath, [PROGRAM, dir, '1'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    signal,
  });
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, 0);
}

const PROGRAM = new URL('../programs/model-run.ts', import.meta.url).pathname;

/** Reads results as everybody does: by the newest manifest, without any lock. */
class Reader {
  readonly #lake: Lake;
  readonly #engine: SqlEngine;
  #seen = 0;
  looks = 0;
  results = 0;

  constructor(lake: Lake, engine: SqlEngine) {
    this.#lake = lake;
    this.#engine = engine;
  }

  async look(): Promise<void> {
    const manifest = await this.#lake.manifest();
    this.looks += 1;
    const names = Object.keys(manifest.models);
    if (names.length === 0) return;
    assert.deepEqual(names.toSorted(), Object.keys(MODELS).toSorted());
    const seen = await Promise.all(names.map((name) => this.#seenBy(name, manifest)));
    const [first = 0] = seen;
    assert.deepEqual(seen, [first, first, first], 'all results are those of one run');
    assert.ok(first >= this.#seen, 'results never become older');
    if (first > this.#seen) this.results += 1;
    this.#seen = first;
  }

  async #seenBy(name: string, { models }: Manifest): Promise<number> {
    const files = must(models[name], 'it is one of them').files.map(
      ({ path }) => `'${this.#lake.path(path)}'`,
    );
    const rows = `(SELECT * FROM read_parquet([${files.join(', ')}])) AS rows`;
    const sql = must(SEEN[name], 'each model has one').replace('rows', () => rows);
    return Number((await this.#engine.query(sql)).rows[0]?.[0]);
  }

  /** What no manifest names is gone. */
  async checkRemains(): Promise<void> {
    const { models, removed } = await this.#lake.manifest();
    const named = [...Object.values(models).flatMap(({ files }) => files), ...removed];
    const expected = new Set(named.map(({ path }) => dirname(path)));
    for (const model of Object.keys(MODELS))
      for (const run of await readdir(this.#lake.path(`models/${model}`)))
        assert.ok(expected.has(`models/${model}/${run}`), `${model}/${run} is of a dead run`);
    const scratch = await readdir(this.#lake.path('scratch')).catch(() => []);
    assert.deepEqual(scratch, []);
  }
}
