import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DuckDbEngine } from '../../src/adapters/duckdb/engine.ts';
import { stateSql } from '../../src/batch/lake/history.ts';
import { Lake } from '../../src/batch/lake/lake.ts';
import type { LakeTable } from '../../src/batch/lake/manifest.ts';
import { sqlIdentifier, sqlString } from '../../src/batch/models/literal.ts';
import { must } from '../../src/lib/must.ts';
import type { EventLog } from '../../src/ports/event-log.ts';
import { readTo } from '../../src/ports/read-to.ts';
import type { CrashTable } from './tables.ts';
import { compareRows, type Rows, rowsByKey } from './verification.ts';
import { topicOf, type Workplace } from './workplace.ts';

const NEVER = new AbortController().signal;

/**
 * Throws unless the lake holds each change of the log once, and its tables are the source's. To be
 * called when the lake has been told to write all that there is.
 */
export async function verifyLake(
  { dataDir, folder }: Workplace,
  log: EventLog,
  tables: ReadonlyMap<CrashTable, Rows>,
): Promise<void> {
  const lake = await Lake.open(join(dataDir, 'lake'));
  const manifest = await lake.manifest();
  await using engine = await DuckDbEngine.open({
    memoryLimit: '256MB',
    tempDirectory: join(folder, 'spill'),
  });
  for (const [table, expected] of tables) {
    const kept = must(manifest.tables[topicOf(table.name)], `the lake has ${table.name}`);
    assert.deepEqual(await changesIn(lake, kept, engine), await changesOf(log, kept));
    const columns = must(kept.schemas.at(-1), 'it has columns').columns.map(({ name }) => name);
    const texts = columns.map((name) => `CAST(${sqlIdentifier(name)} AS VARCHAR)`);
    const state = await stateSql(lake, engine, kept, {}, NEVER);
    const { rows } = await engine.query(`SELECT ${texts.join(', ')} FROM (${state})`);
    const found = rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]])));
    compareRows(table, { expected, found: rowsByKey(found, table), where: 'the lake' });
  }
}

/** `partition@offset` of each change, in order. */
async function changesIn(lake: Lake, table: LakeTable, engine: DuckDbEngine): Promise<string[]> {
  const files = table.changes.map(({ path }) => sqlString(lake.path(path)));
  const { rows } = await engine.query(
    `SELECT __partition, __offset FROM read_parquet([${files.join(', ')}]) ORDER BY 1, 2`,
  );
  return rows.map(([partition, offset]) => `${Number(partition)}@${Number(offset)}`);
}

async function changesOf(log: EventLog, { topic, offsets }: LakeTable): Promise<string[]> {
  const changes: string[] = [];
  for (const partition of Object.keys(offsets).map(Number)) {
    const { end } = await log.offsets({ topic, partition });
    const from = { topic, partition, offset: 0 };
    for await (const records of readTo(log, from, end, NEVER))
      for (const { offset, value } of records)
        if (value !== null) changes.push(`${partition}@${offset}`);
  }
  return changes;
}
