import assert from 'node:assert/strict';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DuckDbEngine } from '../../src/adapters/duckdb/engine.ts';
import { SparkWarehouse } from '../../src/adapters/spark/warehouse.ts';
import { compact } from '../../src/batch/lake/compaction.ts';
import { COMPACT_ALL } from '../../src/batch/lake/compaction-plan.ts';
import { Lake } from '../../src/batch/lake/lake.ts';
import type { LakeTable } from '../../src/batch/lake/manifest.ts';
import { stateOf } from '../../src/batch/lake/state.ts';
import type { TableRelation, UpTo } from '../../src/batch/lake/table-relation.ts';
import { sqlIdentifier } from '../../src/batch/models/literal.ts';
import { must } from '../../src/lib/must.ts';
import type { WarehouseStep } from '../../src/ports/warehouse.ts';
import { writeChanges } from '../lake-changes.ts';
import { RandomHistory } from '../lake-history.ts';
import { seededRandom } from '../random.ts';
import { installedSpark } from './servers/spark.ts';

const START_MS = Date.UTC(2026, 0, 1);
const HISTORIES = 6;
const never = new AbortController().signal;
const spark = await installedSpark();

type Wanted = Readonly<{ relation: TableRelation; rows: readonly string[]; title: string }>;

test("Spark's states of random histories are what a replay gives", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-spark-state-'));
  const tempDirectory = join(folder.path, 'tmp');
  await using engine = await DuckDbEngine.open({ memoryLimit: '256MB', tempDirectory });
  const wanted: Wanted[] = [];
  for (let seed = 0; seed < HISTORIES; seed += 1)
    wanted.push(...(await statesOf(join(folder.path, `lake${seed}`), engine, seed)));
  await using warehouse = await SparkWarehouse.open({
    submit: spark.submit,
    master: 'local[2]',
    workDir: join(folder.path, 'work'),
    env: { ...process.env, ...spark.env },
  });
  const relations = new Map(
    wanted.flatMap(({ relation }) => relation.relations.map((each) => [each.name, each] as const)),
  );
  const steps = wanted.map(({ relation }, index): WarehouseStep => ({
    kind: 'table',
    name: `state${index}`,
    sql: relation.sql,
    after: [],
    directory: join(folder.path, `state${index}`),
  }));
  const results = await warehouse.run(
    { relations: [...relations.values()], steps },
    () => {},
    never,
  );
  for (const [index, { relation, rows, title }] of wanted.entries()) {
    const result = results[index];
    assert.ok(result?.outcome === 'done', `${title}: ${JSON.stringify(result)}`);
    const values = relation.columns.map(({ name }) => `CAST(${sqlIdentifier(name)} AS VARCHAR)`);
    const files = result.files.map((file) => `'${file}'`).join(', ');
    const found =
      files === ''
        ? []
        : (await engine.query(`SELECT ${values.join(', ')} FROM read_parquet([${files}])`)).rows;
    assert.deepEqual(found.map((row) => JSON.stringify(row)).toSorted(), rows, title);
  }
});

/** Now and at some positions, with and without a base; in some tables a history of several schemas. */
async function statesOf(dir: string, engine: DuckDbEngine, seed: number): Promise<Wanted[]> {
  const lake = await Lake.open(dir);
  const history = new RandomHistory(seededRandom(seed), START_MS);
  const written = { changes: 0, resets: 0 };
  const wanted: Wanted[] = [];
  const take = async (count: number, upTo?: UpTo): Promise<void> => {
    const { tables } = await lake.manifest();
    const table: LakeTable = must(tables[history.table.topic], 'it was written');
    const offsets = history.offsetsAfter(count);
    const relation = stateOf(lake, table, upTo);
    const rows = history.stateAfter(
      count,
      ({ at, partition }) => upTo === undefined || at < (offsets[partition] ?? 0),
      table.schemas.length - 1,
    );
    wanted.push({ relation, rows, title: `history ${seed}, ${count} changes` });
  };
  for (let round = 0; round < 3; round += 1) {
    for (let steps = 0; steps < 60; steps += 1) history.step();
    await writeChanges(lake, engine, history.table, history.changes.slice(written.changes), {
      offsets: history.offsetsAfter(),
      resets: history.resets.slice(written.resets),
    });
    written.changes = history.changes.length;
    written.resets = history.resets.length;
    await take(written.changes);
    if (round === 1) {
      const options = { policy: COMPACT_ALL, retentionMs: 1e12, nowMs: history.nowMs };
      await compact(lake, engine, options, () => {}, never);
    }
  }
  await take(written.changes);
  const early = Math.floor(written.changes / 2);
  await take(early, { offsets: history.offsetsAfter(early) });
  return wanted;
}
