import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TemporaryPostgres } from '../test/postgres.ts';
import type { Run } from './figures.ts';
import { runCosting } from './process-cost.ts';

/**
 * The native connector in a process of its own, into a new durable log, until `end` is reached.
 * With `adopt` it drains a slot that exists; without, it creates the slot and copies first.
 */
export async function captureRun(
  server: TemporaryPostgres,
  slot: string,
  end: string,
  rows: number,
  how: 'adopt' | 'copy',
): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const child = new URL('capture-child.ts', import.meta.url).pathname;
  // oxlint-disable-next-line node/no-process-env -- a password belongs in no argument
  const env = { ...process.env, BENCH_SERVER: JSON.stringify(server) };
  const args = [child, folder, slot, end, how];
  const { stdout, peakPrivateMb } = await runCosting(process.execPath, args, { env });
  const { seconds, changes, cpuUs } = JSON.parse(stdout) as Record<
    'seconds' | 'changes' | 'cpuUs',
    number
  >;
  if (changes !== rows) throw new Error(`the log holds ${changes} changes, expected ${rows}`);
  await rm(folder, { recursive: true });
  return { rowsPerS: changes / seconds, cpuUs: cpuUs / changes, privateMb: peakPrivateMb };
}
