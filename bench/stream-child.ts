/*
 * Runs one topology over a log that is there, with a new store, until all that comes of it is in the
 * log. Prints one JSON object: seconds, CPU microseconds.
 */
import { LmdbStore } from '../src/adapters/lmdb/store.ts';
import { must } from '../src/lib/must.ts';
import { perCustomer } from './envelopes/per-customer.ts';
import { QUERIES } from './nexmark/queries.ts';
import { runToEnd } from './nexmark/run-to-end.ts';
import { openLog } from './stream-log.ts';

/** As with STREAM_BUFFER_SIZE=10000: a commit of as many is filled while the one before is under way. */
const LIMITS = { maxRecords: 5000 };

const [, , logDir = '', storeDir = '', name = ''] = process.argv;
const topology = must(
  [...QUERIES, perCustomer].find((each) => each.name === name),
  'the bench names one of its topologies',
);
await using log = await openLog(logDir);
await using store = await LmdbStore.open({ dir: storeDir });
const cpuBefore = process.cpuUsage();
const started = performance.now();
await runToEnd(topology, { log, store, limits: LIMITS });
const seconds = (performance.now() - started) / 1000;
const cpu = process.cpuUsage(cpuBefore);
process.stdout.write(`${JSON.stringify({ seconds, cpuUs: cpu.user + cpu.system })}\n`);
