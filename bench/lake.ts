import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { orders } from '../pipelines/shop/tables.ts';
import type { EventLog } from '../src/ports/event-log.ts';
import { readTo } from '../src/ports/read-to.ts';
import { writeEnvelopes } from './envelopes/input.ts';
import { compared, type Figures, type Run } from './figures.ts';
import { runCosting } from './process-cost.ts';
import { median } from './statistics.ts';
import { openLog } from './stream-log.ts';

const CHANGES = 1_000_000;
const ROUNDS = 3;
/** What MILLRACE_DUCKDB_MEMORY is by default. */
const MEMORY = '512MB';

/**
 * A million changes of the shop's orders from the durable log into a lake, with the commit of its
 * manifest; beside it DuckDB's own COPY to Parquet from a file of the same envelopes.
 */
export async function benchLake(): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  try {
    await prepare(folder);
    const ours: Run[] = [];
    const theirs: number[] = [];
    const bytes: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      theirs.push((await runChild('peer', folder)).rowsPerS);
      const { lakeBytes, ...run } = await runChild('writer', folder);
      ours.push(run);
      bytes.push(lakeBytes);
      await rm(join(folder, 'lake'), { recursive: true });
    }
    const { rows_per_s, peer_rows_per_s, ...others } = compared(ours, theirs);
    return {
      changes_per_s: rows_per_s ?? Number.NaN,
      peer_changes_per_s: peer_rows_per_s ?? Number.NaN,
      ...others,
      bytes_per_change: Number((median(bytes) / CHANGES).toFixed(1)),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function prepare(folder: string): Promise<void> {
  await using log = await openLog(join(folder, 'log'));
  await writeEnvelopes(log, CHANGES);
  await pipeline(lines(log), createWriteStream(join(folder, 'envelopes.ndjson')));
}

async function* lines(log: EventLog): AsyncGenerator<string> {
  const from = { topic: orders.topic, partition: 0 };
  const { start, end } = await log.offsets(from);
  const { signal } = new AbortController();
  for await (const records of readTo(log, { ...from, offset: start }, end, signal))
    yield records.map(({ value }) => `${Buffer.from(value ?? []).toString()}\n`).join('');
}

async function runChild(what: string, folder: string): Promise<Run & { lakeBytes: number }> {
  const child = new URL('lake-child.ts', import.meta.url).pathname;
  const { stdout, peakPrivateMb } = await runCosting(process.execPath, [
    child,
    what,
    folder,
    MEMORY,
  ]);
  const { seconds, cpuUs, bytes } = JSON.parse(stdout) as Record<
    'seconds' | 'cpuUs' | 'bytes',
    number
  >;
  return {
    rowsPerS: CHANGES / seconds,
    cpuUs: cpuUs / CHANGES,
    privateMb: peakPrivateMb,
    lakeBytes: bytes,
  };
}
