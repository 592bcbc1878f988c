import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { perCustomer } from './envelopes/per-customer.ts';
import { writeEnvelopes } from './envelopes/input.ts';
import type { Figures } from './figures.ts';
import { FLINK_EVENTS_PER_S } from './nexmark/flink.ts';
import { writeEvents } from './nexmark/input.ts';
import { QUERIES } from './nexmark/queries.ts';
import { findPeer } from './peer.ts';
import { runCosting } from './process-cost.ts';
import { openLog } from './stream-log.ts';

/** Half a minute of event time: windows close along the way, and hold a million events. */
const NEXMARK = { events: 3_000_000, eventsPerS: 100_000, seed: 1 };
const ENVELOPES = 1_000_000;
/** All threads of the engine share it. */
const CORE = '0';

type Cost = Readonly<{ eventsPerS: number; cpuUs: number; privateMb: number }>;

/**
 * The Nexmark queries on one core, from the durable log into the durable log, beside what Flink
 * publishes a core; and an aggregate over the shop's envelopes. The log is filled before.
 */
export async function benchStream(): Promise<Figures> {
  const taskset = findPeer('taskset', 'util-linux').path;
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const bench = { taskset, folder };
  const figures: Record<string, number> = {};
  try {
    await fillLog(join(folder, 'log'));
    for (const { name } of QUERIES) {
      const cost = await runPinned(name, NEXMARK.events, bench);
      const flink = FLINK_EVENTS_PER_S[name] ?? Number.NaN;
      Object.assign(figures, figuresOf(name, cost), {
        [`${name}_flink_events_per_s`]: flink,
        [`${name}_ratio`]: Number((cost.eventsPerS / flink).toFixed(2)),
      });
    }
    const { name } = perCustomer;
    return { ...figures, ...figuresOf(name, await runPinned(name, ENVELOPES, bench)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function fillLog(dir: string): Promise<void> {
  await using log = await openLog(dir);
  await writeEvents(log, NEXMARK);
  await writeEnvelopes(log, ENVELOPES);
}

async function runPinned(
  name: string,
  events: number,
  { taskset, folder }: Readonly<{ taskset: string; folder: string }>,
): Promise<Cost> {
  const child = new URL('stream-child.ts', import.meta.url).pathname;
  const store = join(folder, `store-${name}`);
  const args = ['-c', CORE, process.execPath, child, join(folder, 'log'), store, name];
  const { stdout, peakPrivateMb } = await runCosting(taskset, args);
  const { seconds, cpuUs } = JSON.parse(stdout) as Record<'seconds' | 'cpuUs', number>;
  await rm(store, { recursive: true });
  return { eventsPerS: events / seconds, cpuUs: cpuUs / events, privateMb: peakPrivateMb };
}

function figuresOf(name: string, { eventsPerS, cpuUs, privateMb }: Cost): Figures {
  return {
    [`${name}_events_per_s`]: Math.round(eventsPerS),
    [`${name}_cpu_us_per_event`]: Number(cpuUs.toFixed(2)),
    [`${name}_peak_private_mb`]: Math.round(privateMb),
  };
}
