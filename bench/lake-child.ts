/*
 * Once: the lake's writer from a log that is there to a new lake, or DuckDB alone from a file of the
 * same envelopes. Prints one JSON object: seconds, CPU microseconds, bytes of Parquet.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { orders } from '../pipelines/shop/tables.ts';
import { DuckDbEngine } from '../src/adapters/duckdb/engine.ts';
import { SHOP_MODES } from '../src/batch/lake/column-type.ts';
import { LakeWriter } from '../src/batch/lake/lake-writer.ts';
import { Lake } from '../src/batch/lake/lake.ts';
import { systemClock } from '../src/lib/clock.ts';
import { openLog } from './stream-log.ts';

/** As the catalogue tells them. */
const COLUMNS = {
  id: 'integer',
  customer_id: 'integer',
  order_date: 'timestamp without time zone',
  total_amount: 'numeric(10,2)',
  status: 'character varying(20)',
  shipping_address: 'text',
  created_at: 'timestamp without time zone',
  updated_at: 'timestamp without time zone',
};

const [, , what = '', folder = '', memoryLimit = ''] = process.argv;
const tempDirectory = join(folder, 'tmp');
await using engine = await DuckDbEngine.open({ memoryLimit, tempDirectory });
const cpuBefore = process.cpuUsage();
const started = performance.now();
const bytes = what === 'writer' ? await writeLake() : await copyFile();
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
process.stdout.write(`${JSON.stringify({ seconds, cpuUs: user + system, bytes })}\n`);

async function writeLake(): Promise<number> {
  await using log = await openLog(join(folder, 'log'));
  const columns = Object.entries(COLUMNS).map(([name, sqlType]) => ({ name, sqlType }));
  const table = { schema: 'public', name: 'orders', key: ['id'], columns };
  const writer = new LakeWriter({
    lake: await Lake.open(join(folder, 'lake')),
    log,
    engine,
    clock: systemClock,
    isTable: (topic) => topic === orders.topic,
    messageTopic: 'dbserver1.message',
    deadLetterTopic: 'lake.dead-letters',
    describe: async () => table,
    onMissingHistory: async () => {},
    modes: SHOP_MODES,
    flushEveryMs: 60_000,
    onStatus: () => {},
  });
  const stop = new AbortController();
  const ended = writer.run(stop.signal);
  const { tables } = await writer.flush();
  stop.abort();
  await ended;
  const changes = tables[orders.topic]?.changes ?? [];
  return changes.reduce((sum, file) => sum + file.bytes, 0);
}

async function copyFile(): Promise<number> {
  const target = join(folder, 'peer.parquet');
  const source = `read_json('${join(folder, 'envelopes.ndjson')}')`;
  await engine.run(
    `COPY (SELECT * FROM ${source}) TO '${target}' (FORMAT parquet, COMPRESSION zstd)`,
  );
  return (await stat(target)).size;
}
